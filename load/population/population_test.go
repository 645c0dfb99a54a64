package population

import (
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var office = Config{
	Users: 4000, Tenants: 5, Foreign: 0.1, Team: 8, Web: 0.2, Mobile: 0.5,
	Contacts: Contacts{Median: 30, Sigma: 0.8, Most: 400}, Hot: Hot{Users: 3, Watchers: 900},
}

func TestSameSeedSamePeople(t *testing.T) {
	print := func(seed uint64) string {
		p := Generate(office, seed)
		h := fnv.New64a()
		add := func(what ...any) { _, _ = fmt.Fprintln(h, what...) } // a hash takes everything
		add(p.Tenant, p.Watches, p.Devices, p.Hot, p.Slow(0.05))
		a := Activity{Kind: KindDay, Start: 8 * time.Hour, Speed: 600}
		for e := range p.Logins(time.Second, a) {
			add(e)
		}
		d := Disturbance{Storms: []Storm{{At: time.Second, Share: 0.5, Spread: time.Second}}, Flicker: Flicker{Share: 1, Every: 5 * time.Second}}
		for e := range p.Events(a, d, time.Minute) {
			add(e)
		}
		return fmt.Sprint(h.Sum64())
	}
	if a, b := print(7), print(7); a != b {
		t.Errorf("the same seed gave %s and %s", a, b)
	}
	if a, b := print(7), print(8); a == b {
		t.Error("another seed gave the same people")
	}
}

func TestContactsAreLogNormalAndMutual(t *testing.T) {
	c := office
	c.Team, c.Hot = 1, Hot{}
	p := Generate(c, 3)
	var degrees []int
	foreign, all := 0, 0
	for u, list := range p.Watches {
		degrees = append(degrees, len(list))
		for _, w := range list {
			all++
			if p.Tenant[w] != p.Tenant[u] {
				foreign++
			}
			if _, ok := slices.BinarySearch(p.Watches[w], int32(u)); !ok {
				t.Fatalf("%d watches %d, who does not watch back", u, w)
			}
		}
	}
	slices.Sort(degrees)
	median := float64(degrees[len(degrees)/2])
	if math.Abs(median-30) > 3 {
		t.Errorf("median of %g contacts, want about 30", median)
	}
	for q, z := range map[float64]float64{0.1: -1.2816, 0.9: 1.2816, 0.97: 1.8808} {
		got, want := float64(degrees[int(q*float64(len(degrees)))]), 30*math.Exp(0.8*z)
		if math.Abs(got-want) > 0.12*want {
			t.Errorf("at %g of the people %g contacts, want about %.0f", q, got, want)
		}
	}
	if share := float64(foreign) / float64(all); math.Abs(share-0.1) > 0.02 {
		t.Errorf("%.3f of the contacts are foreign, want about 0.1", share)
	}
}

func TestHotUsersHaveTheirAudience(t *testing.T) {
	p := Generate(office, 5)
	if len(p.Hot) != 3 {
		t.Fatalf("%d hot users", len(p.Hot))
	}
	for _, h := range p.Hot {
		if p.Watched[h] < 900 || p.Watched[h] > 900+400 {
			t.Errorf("%d watch hot user %d, want 900 and their own contacts at most", p.Watched[h], h)
		}
	}
}

// Whatever the configuration: lists rise, name others only, are no longer than a
// node takes, and hold the team; tenants are never empty.
func TestGraphLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.IntRange(2, 400).Draw(t, "users")
		c := Config{
			Users: users, Tenants: rapid.IntRange(1, users/2).Draw(t, "tenants"),
			Team:     rapid.IntRange(1, 12).Draw(t, "team"),
			Contacts: Contacts{Median: rapid.IntRange(1, 60).Draw(t, "median"), Sigma: rapid.Float64Range(0, 2).Draw(t, "sigma"), Most: 100},
			Mobile:   rapid.Float64Range(0, 1).Draw(t, "mobile"), Web: rapid.Float64Range(0, 1).Draw(t, "web"),
			Hot: Hot{Users: rapid.IntRange(0, 3).Draw(t, "hot"), Watchers: rapid.IntRange(0, users).Draw(t, "watchers")},
		}
		if c.Tenants > 1 {
			c.Foreign = rapid.Float64Range(0, 1).Draw(t, "foreign")
		}
		if _, err := c.Check(); err != nil {
			t.Skip(err)
		}
		p := Generate(c, rapid.Uint64().Draw(t, "seed"))
		seen := map[int32]bool{}
		for u, list := range p.Watches {
			seen[p.Tenant[u]] = true
			if len(list) > MaxContacts || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Fatalf("list of %d: %v", u, list)
			}
			if slices.Contains(list, int32(u)) || slices.ContainsFunc(list, func(w int32) bool { return w < 0 || int(w) >= users }) {
				t.Fatalf("list of %d: %v", u, list)
			}
			from, to := p.Of(int32(u))
			if to-from < 1 || to-from > 3 || p.Devices[from] != (Device{int32(u), Desktop}) {
				t.Fatalf("devices of %d: %v", u, p.Devices[from:to])
			}
		}
		if len(seen) != c.Tenants {
			t.Fatalf("%d tenants have people, want %d", len(seen), c.Tenants)
		}
	})
}

func TestCheckNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"users":         func(c *Config) { c.Users = 1 },
		"tenants":       func(c *Config) { c.Tenants = c.Users },
		"foreign":       func(c *Config) { c.Tenants = 1 },
		"contacts.most": func(c *Config) { c.Contacts.Most = 10 },
		"team":          func(c *Config) { c.Team = 500 },
		"hot.watchers":  func(c *Config) { c.Hot.Watchers = 4000 },
		"":              func(*Config) {},
	} {
		c := office
		change(&c)
		if field, err := c.Check(); field != want || (err == nil) != (want == "") {
			t.Errorf("%q: %q, %v", want, field, err)
		}
	}
}

// The package promises to be pure.
func TestPure(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, banned := range []string{"time.Now", "time.Since", `"os"`, `"sync"`, `"net"`, "rand.N(", "rand.IntN(", "go func"} {
			if strings.Contains(string(text), banned) {
				t.Errorf("%s has %s", f, banned)
			}
		}
	}
}
