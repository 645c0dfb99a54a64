// Package front is what every surface of the gateway shares before it speaks to
// an actor: who calls and what the token allows, what a body may look like, what
// a published source means, how much a caller may ask for, and how a refusal is
// worded.
//
// It owns the caller's budgets and the counts of connections, all in memory and
// all bounded. It never stores anything, never speaks a protocol of its own, and
// logs no content: neither tokens nor presence nor bodies.
//
//	request ─▶ Wrap: id, panic, access log
//	             └▶ surface: Authenticate ─▶ Decode ─▶ Publication / Targets ─▶ actors
//	                               └──────────┴─ any error ─▶ WriteError: one table
//
// Promises: the tenant comes from the token and from nowhere else; every error
// has exactly one status and one code, whatever surface it leaves by.
package front
