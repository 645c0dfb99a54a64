// Package target is what a load test is pointed at: a node of its own as a child
// process, or the nodes of somebody else; what they say of themselves by their
// metrics; and whether this machine can hold the test at all.
//
// It owns the child from start to end, its data directory and its log. It never
// opens a socket of a client.
//
//	Program --> Start --> Node  --ready--> URL, Admin
//	                       '-- Stop: SIGTERM, then SIGKILL
//	Scrape  --> CPU, memory, deliveries of a node, over /metrics
//	Need.Check --> what is too little, and what to change
package target
