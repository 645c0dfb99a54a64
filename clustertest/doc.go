// Package clustertest shows that a cluster of real nodes keeps its promises
// while processes are killed, paused, cut off, restarted and added.
//
// A scenario is a text file in testdata, a step to a line. Its nodes are
// processes of cmd/node, each in a network namespace of its own on a bridge;
// where namespaces cannot be made they live on loopback addresses, and the
// scenarios that pull cables are left out and named. Simulated users, each with
// the Go SDK, publish and watch through all gateways meanwhile, and what they
// saw is judged afterwards:
//
//	testdata/kill.txt -> script -> run -> cluster -> node (process, namespace, disk)
//	                                +--> users (client SDK) --> record --> judge --> table
//	                                +--> keepers (plain HTTP) -> ledger -->  |
//	                                +--> reader of the change feed ------->  |
//	                                +--> watchers of another tenant ------>  |
//
// Users hide a loss: their clients publish and watch again what they had.
// Keepers write what nobody says again, notes, blocks and watch lists, and every
// acknowledged write must be there when it is read through each gateway. A write
// that nobody has answered is the last one of its keeper, who goes on as somebody
// else, so that no late arrival can excuse a loss.
//
// The processes run with a flag only: make cluster-test and make
// cluster-test-short set it. Without one, the tests of the harness itself run:
// the parser of scripts, and the judge, which must find planted faults.
//
// It owns every process, namespace, bridge and address that it makes, removes
// them at the end, and at the start removes what a killed run of it has left.
package clustertest
