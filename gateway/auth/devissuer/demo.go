package devissuer

import (
	"slices"

	"rollcall/presence"
)

// The demo tenants. Alice, Bob and Carol work at home; Dave is in the other
// tenant, to try what crosses an organisation's border.
var (
	HomeTenant  = presence.TenantID{0x5c, 0x0a, 0x7a, 0x10, 0x9d, 0x3e, 0x4b, 0x61, 0x8f, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01}
	GuestTenant = presence.TenantID{0x5c, 0x0a, 0x7a, 0x10, 0x9d, 0x3e, 0x4b, 0x61, 0x8f, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02}
)

// DemoApp is the demo application's id, the same in both tenants.
const DemoApp = "0d3a44a2-6c1f-4f0e-a9be-000000000100"

// Person is an entry of the demo directory.
type Person struct {
	Login       string // what /token?user= takes
	ID          string // the user's GUID: oid in tokens, id in Graph answers
	Tenant      presence.TenantID
	DisplayName string
	GivenName   string
	Surname     string
	Mail        string // also the user principal name
	JobTitle    string
}

// Demo is the demo directory. It is read only and its ids never change, so
// that stored presence fits the users after a restart.
var Demo = []Person{
	{
		Login: "alice", ID: "a11ce000-6c1f-4f0e-a9be-000000000001", Tenant: HomeTenant,
		DisplayName: "Alice Archer", GivenName: "Alice", Surname: "Archer",
		Mail: "alice@home.example", JobTitle: "Product Manager",
	},
	{
		Login: "bob", ID: "b0b00000-6c1f-4f0e-a9be-000000000002", Tenant: HomeTenant,
		DisplayName: "Bob Baker", GivenName: "Bob", Surname: "Baker",
		Mail: "bob@home.example", JobTitle: "Support Engineer",
	},
	{
		Login: "carol", ID: "ca401000-6c1f-4f0e-a9be-000000000003", Tenant: HomeTenant,
		DisplayName: "Carol Cooper", GivenName: "Carol", Surname: "Cooper",
		Mail: "carol@home.example", JobTitle: "Designer",
	},
	{
		Login: "dave", ID: "da4e0000-6c1f-4f0e-a9be-000000000004", Tenant: GuestTenant,
		DisplayName: "Dave Dyer", GivenName: "Dave", Surname: "Dyer",
		Mail: "dave@guest.example", JobTitle: "Consultant",
	},
}

// Find looks a person up by login name.
func Find(login string) (Person, bool) {
	i := slices.IndexFunc(Demo, func(p Person) bool { return p.Login == login })
	if i < 0 {
		return Person{}, false
	}
	return Demo[i], true
}
