SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := tools/go.mod tools/go.sum

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: bin/protoc-gen-go bin/protoc-gen-go-vtproto tools/node_modules/.package-lock.json ## regenerate messages/*.pb.go from messages/*.proto
	@tools/generate

.PHONY: generate-check
generate-check: bin/protoc-gen-go bin/protoc-gen-go-vtproto tools/node_modules/.package-lock.json ## fail when the generated code is not up to date
	@tools/generate --check

bin/protoc-gen-go: $(TOOLS)
	cd tools && go build -o ../bin/ google.golang.org/protobuf/cmd/protoc-gen-go
	@touch $@

bin/protoc-gen-go-vtproto: $(TOOLS)
	cd tools && go build -o ../bin/ github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
	@touch $@

# The binaries come inside the npm packages, so no install script has to run.
tools/node_modules/.package-lock.json: tools/package.json tools/package-lock.json
	cd tools && npm ci --ignore-scripts --no-fund --no-audit
	@touch $@
