package population

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Config describes the people. The zero value is nobody; see Check for bounds.
type Config struct {
	Users    int
	Tenants  int     // organisations; the n-th is about 1/n the size of the first
	Foreign  float64 // share of contacts that are in another organisation
	Contacts Contacts
	Team     int // people of a team, who all watch one another; 1 is no teams
	Hot      Hot
	Web      float64 // share of people with a second, Web device
	Mobile   float64 // share of people with a phone
}

// Contacts is how many people somebody watches: log-normal, as in real address
// books, where most have few and some have very many.
type Contacts struct {
	Median int
	Sigma  float64 // of the logarithm; 0 gives everybody the median
	Most   int
}

// Hot are the few whom very many watch without being watched back.
type Hot struct{ Users, Watchers int }

// MaxContacts is what a node lets one endpoint watch.
const MaxContacts = 1000

// Kind is the kind of a device.
type Kind uint8

// The kinds of devices. Everybody has a Desktop, which is the one that publishes.
const (
	Desktop Kind = iota
	Web
	Mobile
)

func (k Kind) String() string { return [...]string{"Desktop", "Web", "Mobile"}[k] }

// Device is one endpoint of a user.
type Device struct {
	User int32
	Kind Kind
}

// People is a population. It is not changed after Generate.
type People struct {
	Config  Config
	Seed    uint64
	Tenant  []int32   // by user
	Watches [][]int32 // by user: whom they watch, rising
	Watched []int32   // by user: how many people watch them
	Hot     []int32   // users, rising
	Devices []Device  // those of a user are neighbours, the Desktop first
	First   []int32   // by user: index of the Desktop in Devices
}

// Check says what cannot be, by the name of the field.
func (c Config) Check() (field string, err error) {
	switch {
	case c.Users < 2:
		return "users", fmt.Errorf("at least 2 people, not %d", c.Users)
	case c.Tenants < 1 || c.Tenants > c.Users/2:
		return "tenants", fmt.Errorf("1 to %d with %d users, not %d", c.Users/2, c.Users, c.Tenants)
	case c.Foreign > 0 && c.Tenants == 1:
		return "foreign", fmt.Errorf("contacts in another organisation need more than one tenant")
	case c.Contacts.Most < c.Contacts.Median:
		return "contacts.most", fmt.Errorf("%d is below the median of %d", c.Contacts.Most, c.Contacts.Median)
	case c.Team > c.Contacts.Most+1:
		return "team", fmt.Errorf("in a team of %d everybody watches %d people, and contacts.most is %d", c.Team, c.Team-1, c.Contacts.Most)
	case c.Hot.Users > 0 && c.Hot.Watchers > c.Users-c.Hot.Users:
		return "hot.watchers", fmt.Errorf("%d watchers, but there are only %d other users", c.Hot.Watchers, c.Users-c.Hot.Users)
	case c.Hot.Users+c.Contacts.Most > MaxContacts:
		return "contacts.most", fmt.Errorf("with %d hot users it can be %d at most", c.Hot.Users, MaxContacts-c.Hot.Users)
	}
	return "", nil
}

// Streams of randomness, so that a change of one part leaves the others alone.
const (
	streamGraph = 1 + iota
	streamDevices
	streamLogins
	streamPublish
	streamHot
	streamFlicker
	streamStorm
	streamSlow
	streamDay
)

func source(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// Generate invents people. REQUIRES: c.Check has nothing to say.
func Generate(c Config, seed uint64) *People {
	p := &People{Config: c, Seed: seed, Tenant: tenants(c.Users, c.Tenants)}
	p.graph(source(seed, streamGraph))
	p.devices(source(seed, streamDevices))
	return p
}

// tenants deals users out, in blocks, so that the n-th organisation is about
// 1/n the size of the first and none is empty.
func tenants(users, n int) []int32 {
	total := 0.0
	for t := range n {
		total += 1 / float64(t+1)
	}
	of := make([]int32, users)
	at, sum := 0, 0.0
	for t := range n {
		sum += 1 / float64(t+1)
		end := max(int(sum/total*float64(users)+0.5), at+1)
		end = min(end, users-(n-t-1))
		for ; at < end; at++ {
			of[at] = int32(t)
		}
	}
	for ; at < users; at++ {
		of[at] = int32(n - 1)
	}
	return of
}

func (p *People) devices(r *rand.Rand) {
	p.First = make([]int32, p.Config.Users)
	for u := range p.Config.Users {
		p.First[u] = int32(len(p.Devices))
		p.Devices = append(p.Devices, Device{int32(u), Desktop})
		if r.Float64() < p.Config.Web {
			p.Devices = append(p.Devices, Device{int32(u), Web})
		}
		if r.Float64() < p.Config.Mobile {
			p.Devices = append(p.Devices, Device{int32(u), Mobile})
		}
	}
}

// Of gives the indices of a user's devices.
func (p *People) Of(user int32) (from, to int32) {
	if int(user)+1 < len(p.First) {
		return p.First[user], p.First[user+1]
	}
	return p.First[user], int32(len(p.Devices))
}

// Pairs counts who watches whom: people, and devices.
func (p *People) Pairs() (people, devices int) {
	for u, list := range p.Watches {
		from, to := p.Of(int32(u))
		people += len(list)
		devices += len(list) * int(to-from)
	}
	return people, devices
}

// Observers is how many devices watch a user.
func (p *People) Observers() []int32 {
	n := make([]int32, p.Config.Users)
	for u, list := range p.Watches {
		from, to := p.Of(int32(u))
		for _, w := range list {
			n[w] += to - from
		}
	}
	return n
}

// Slow picks a share of the devices, rising: the same ones for the same seed.
func (p *People) Slow(share float64) []int32 {
	return some(source(p.Seed, streamSlow), len(p.Devices), share)
}

// some picks a share of n at random, rising.
func some(r *rand.Rand, n int, share float64) []int32 {
	if share <= 0 {
		return nil
	}
	k := min(max(int(share*float64(n)+0.5), 1), n)
	all := r.Perm(n)[:k]
	slices.Sort(all)
	out := make([]int32, k)
	for i, x := range all {
		out[i] = int32(x)
	}
	return out
}
