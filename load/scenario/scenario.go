package scenario

import (
	"time"

	"rollcall/load/population"
)

// Scenario is one load test. All of it comes from its file, so that the same file
// and seed are the same test.
type Scenario struct {
	Name       string
	About      string
	Seed       uint64
	Duration   time.Duration // of the load, after everybody has connected
	Settle     time.Duration // within which, at the end, everybody must know the newest
	Population population.Config
	Connect    Connect
	Activity   population.Activity
	Disturb    population.Disturbance
	Slow       Slow
	Policy     Policy
	Objectives []Objective
	Source     string // the file's text, for reports
}

// Connect is how people come.
type Connect struct {
	Over     time.Duration
	Measured bool // coming is itself the load: it counts, and Duration includes it
}

// Slow are clients that do not keep up, as a share of all devices.
type Slow struct {
	Silent  float64 // read, but never acknowledge
	Stopped float64 // stop reading altogether once connected
}

// Policy is what a node of the load tester's own is told for its tenants; a
// target's policies are left as they are.
type Policy struct {
	ChangeInterval time.Duration // least time between two announced changes of a user
	Grace          time.Duration // for which a lost device still counts
}

// Default is a scenario that sets nothing but a name.
func Default() Scenario {
	return Scenario{
		Seed: 1, Duration: 30 * time.Second, Settle: 15 * time.Second,
		Population: population.Config{
			Users: 200, Tenants: 1, Team: 6,
			Contacts: population.Contacts{Median: 20, Sigma: 0.8, Most: 300},
		},
		Connect:  Connect{Over: 5 * time.Second},
		Activity: population.Activity{Kind: population.KindRate, Rate: 20, Pause: 3 * time.Second, Speed: 60, Start: 9 * time.Hour, InFlight: 64},
		Policy:   Policy{Grace: 15 * time.Second},
	}
}
