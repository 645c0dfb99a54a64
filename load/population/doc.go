// Package population invents who takes part in a load test: organisations,
// people, whom each of them watches, their devices, and what all of them do and
// when.
//
//	Config + seed --> Generate --> People --> Logins, Events --> a runner
//
// It is pure: no clock, no I/O, no goroutine, no global randomness. The same
// configuration and seed give the same people and the same events, on every
// machine. Times are offsets from the beginning of a phase.
//
// Events come in the order of their times; events of one time in a fixed order.
package population
