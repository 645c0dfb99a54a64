SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

STEP := tools/step
FUZZTIME ?= 5s
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD := 1

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the programs of cmd/ into bin/
	@$(STEP) build go build -o bin/ ./cmd/...

.PHONY: test
test: test-go e2e acceptance ## all tests: Go with the race detector, browser, Graph client; installs what they need

.PHONY: test-go
test-go: ## the Go tests alone
	@$(STEP) test-go go test -race -shuffle=on ./...

SEEDS ?= 20000
FIRST ?= 1

.PHONY: sim
sim: ## play SEEDS (20000) histories of faults against the replication protocol, from seed FIRST (1) on
	@ROLLCALL_SIM_SEEDS=$(SEEDS) ROLLCALL_SIM_FIRST=$(FIRST) $(STEP) sim \
		go test ./replica -count=1 -timeout 0 -v -run TestAnyHistory

.PHONY: e2e
e2e: ## the browser tests of the page, in headless Chromium
	@$(STEP) e2e tools/e2e

.PHONY: picture
picture: build e2e/node_modules/.package-lock.json ## take the README's picture of the page anew: docs/page.png
	@tools/browser
	@cd e2e && ROLLCALL_NODE="$(CURDIR)/bin/node" PICTURE="$(CURDIR)/docs/page.png" ../$(STEP) picture \
		node_modules/.bin/playwright test looks.spec.ts -g 'picture of the README'

.PHONY: demo-cluster
demo-cluster: ## three nodes on this machine with the page on each, until Ctrl-C
	@tools/democluster

.PHONY: acceptance
acceptance: ## the official Graph client against a running node
	@$(STEP) acceptance tools/acceptance

.PHONY: demo-check
demo-check: ## the demo cluster starts, a publish through one node is read through another, it ends
	@$(STEP) demo-check tools/democluster --check

.PHONY: cluster-test
cluster-test: ## every scenario of clustertest with real nodes: killed, wiped, paused, cut off, restarted; a quarter of an hour
	@$(STEP) cluster-test tools/clustertest full

.PHONY: cluster-test-short
cluster-test-short: ## the short scenarios: a minute and a half
	@$(STEP) cluster-test-short tools/clustertest short

.PHONY: check
check: fmt-check vet lint generate-check bench test demo-check cluster-test-short ## everything that must hold before a commit; with -k it goes on after a failure

.PHONY: fmt-check
fmt-check: ## fail when gofmt would change a file
	@$(STEP) fmt-check tools/fmtcheck

.PHONY: vet
vet: ## go vet
	@$(STEP) vet go vet ./...

.PHONY: lint
lint: bin/golangci-lint ## golangci-lint, the version pinned in tools/go.mod
	@$(STEP) lint bin/golangci-lint run ./...

.PHONY: bench
bench: ## every benchmark once
	@$(STEP) bench tools/bench

.PHONY: figures
figures: ## measure at full size, three times, and rewrite the tables of docs/benchmarks.md; a quarter of an hour
	@$(STEP) figures tools/figures

.PHONY: fuzz-short
fuzz-short: ## each fuzz target for FUZZTIME (5s)
	@$(STEP) fuzz-short tools/fuzz $(FUZZTIME)

GENERATORS := bin/protoc-gen-go bin/protoc-gen-go-vtproto tools/node_modules/.package-lock.json

.PHONY: generate
generate: $(GENERATORS) ## regenerate messages/*.pb.go from messages/*.proto
	@$(STEP) generate tools/generate

.PHONY: generate-check
generate-check: $(GENERATORS) ## fail when the generated code is not up to date
	@$(STEP) generate-check tools/generate --check

.PHONY: clean
clean: ## remove what was built, installed and printed by tests; keeps Go's own caches
	rm -rf bin e2e/node_modules e2e/test-results tools/node_modules

# Tools: built or installed only when missing or when their pins changed.

TOOLS := tools/go.mod tools/go.sum

bin/golangci-lint: $(TOOLS)
	@echo "building golangci-lint: about 4 minutes on two cores, the first time only"
	@$(STEP) golangci-lint tools/gobuild github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/benchstat: $(TOOLS)
	@$(STEP) benchstat tools/gobuild golang.org/x/perf/cmd/benchstat

bin/protoc-gen-go: $(TOOLS)
	@$(STEP) protoc-gen-go tools/gobuild google.golang.org/protobuf/cmd/protoc-gen-go

bin/protoc-gen-go-vtproto: $(TOOLS)
	@$(STEP) protoc-gen-go-vtproto tools/gobuild github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto

# No package here needs its install script: buf ships its binary, and Playwright's would fetch a browser.
NPM_CI := npm ci --ignore-scripts --no-fund --no-audit

tools/node_modules/.package-lock.json: tools/package.json tools/package-lock.json
	@cd tools && ../$(STEP) "npm packages of tools" $(NPM_CI)
	@touch $@

e2e/node_modules/.package-lock.json: e2e/package.json e2e/package-lock.json
	@cd e2e && ../$(STEP) "npm packages of e2e" $(NPM_CI)
	@touch $@
