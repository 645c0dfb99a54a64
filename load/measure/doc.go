// Package measure keeps what a load test sees: latencies, counts, and who has
// shown which version of whom.
//
// It owns the arithmetic of the figures and of what counts as lost, repeated or
// out of order. It never reads a clock and never touches a socket: moments come
// in as arguments.
//
//	publish due --> Ledger.Begin --> (socket) --> Ledger.Answered --> acked
//	                      |                                     due --> answer
//	                      '--- version ---> Ledger.Seen   --> received
//	                                                  due --> each watcher
//
// A latency begins at the moment at which the publish was due, not when it was
// sent: a publish that had to wait, because the one before it was not answered or
// because the load tester was late, counts the waiting. There is no coordinated
// omission.
//
// Everything here may be used from any goroutine.
package measure
