package graph

import (
	"time"

	"rollcall/presence"
)

// MaxApps bounds a Throttle.
const MaxApps = maxApps

// Throttle is what an API keeps of its applications.
type Throttle struct{ throttle }

// Admit takes one request of an application.
func (t *Throttle) Admit(tenant presence.TenantID, id string, now time.Time) error {
	return t.admit(app{tenant, id}, now)
}

// Len is the number of applications that it remembers.
func (t *Throttle) Len() int { return len(t.buckets) }

// What tests outside the package look into.
var (
	ZoneOf   = zoneOf
	ZoneText = zoneText
)

// WindowsZones are the names in the table.
func WindowsZones() (names []string) {
	for name := range windowsZones {
		names = append(names, name)
	}
	return names
}

// Routes are the methods and names of all paths, as in "GET me/presence".
func Routes() (all []string) {
	for name, methods := range table() {
		for method := range methods {
			all = append(all, method+" "+name)
		}
	}
	return all
}
