// Command node is Rollcall: the server, and the tools that speak to one.
//
//	node                 serve, in development mode on 127.0.0.1:8080
//	node serve --issuer https://... --audience ... --listen 0.0.0.0:8443 ...
//	node token --server http://127.0.0.1:8080 --user alice
//	node publish --user alice --availability Busy --note "back at 3"
//	node watch --user bob alice carol
//	node certs, node members, node shards, node drain: a cluster's secrets, its state, and leaving it
//
// It owns flags, signals and the exit code. All else is in the packages below.
package main
