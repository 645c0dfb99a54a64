// Package run plays a scenario: it connects the population's devices, lets them
// do what they do when it is due, receives, acknowledges, loses connections and
// resumes them, and finds out what arrived.
//
//	population --events--> driver --publish, drop--> client (one per device)
//	                                                   |  ^
//	                        connectors <---- reconnect-'  | reader: a goroutine
//	                                                      | per connection
//	             measure <--answers, items, lateness------'
//
//	connecting --> load --> quiet --> leaving
//
// It owns every connection and every goroutine of the test; Run returns when all
// have ended. It never decides what happens (population), what counts (measure)
// or what it means (report).
//
// In the open loop the driver waits for nobody: an event is sent when it is due,
// or waits for its user's earlier publish, and its latency runs from when it was
// due. In the closed loop the next publish waits for an answer; it finds the
// saturation, and its latencies are those of a node that is saturated.
//
// At the end nothing is published any more, and for every watched user that a
// connected device knows, its version must become the newest there is: what has
// not after the scenario's settle time is lost.
package run
