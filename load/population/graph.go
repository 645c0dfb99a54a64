package population

import (
	"math"
	"math/rand/v2"
	"slices"
)

// graph makes the contact lists: teams, then mutual contacts up to each one's
// own number, then the hot users' audience.
func (p *People) graph(r *rand.Rand) {
	c := p.Config
	g := &graph{people: p, lists: make([][]int32, c.Users), wants: make([]int, c.Users)}
	for u := range g.wants {
		g.wants[u] = c.Contacts.draw(r)
	}
	g.teams(c.Team)
	g.mutual(r)
	for u := range g.lists {
		slices.Sort(g.lists[u])
	}
	p.Watches = g.lists
	p.hot(r)
	p.Watched = make([]int32, c.Users)
	for _, list := range p.Watches {
		for _, w := range list {
			p.Watched[w]++
		}
	}
}

// draw is one person's number of contacts.
func (c Contacts) draw(r *rand.Rand) int {
	n := int(math.Exp(math.Log(float64(max(c.Median, 1)))+c.Sigma*r.NormFloat64()) + 0.5)
	return min(max(n, 1), c.Most)
}

type graph struct {
	people *People
	lists  [][]int32
	wants  []int
}

// teams are neighbours of one tenant. Whoever wants fewer contacts than the team
// has members still has the team.
func (g *graph) teams(size int) {
	tenant := g.people.Tenant
	for from := 0; size > 1 && from < len(tenant); {
		to := from
		for to < len(tenant) && to-from < size && tenant[to] == tenant[from] {
			to++
		}
		for u := from; u < to; u++ {
			for w := from; w < to; w++ {
				if w != u {
					g.lists[u] = append(g.lists[u], int32(w))
				}
			}
		}
		from = to
	}
}

// rounds of pairing; what is left over after them is a handful.
const rounds = 4

// mutual pairs people who still want contacts: within the tenant, and for the
// foreign share anywhere.
func (g *graph) mutual(r *rand.Rand) {
	for range rounds {
		near := make([][]int32, g.people.Config.Tenants)
		var far []int32
		for u, want := range g.wants {
			for range want - len(g.lists[u]) {
				if r.Float64() < g.people.Config.Foreign {
					far = append(far, int32(u))
				} else {
					t := g.people.Tenant[u]
					near[t] = append(near[t], int32(u))
				}
			}
		}
		for _, stubs := range near {
			g.pair(r, stubs, false)
		}
		g.pair(r, far, true)
	}
}

// pair joins stubs at random, leaving out those that cannot be.
func (g *graph) pair(r *rand.Rand, stubs []int32, foreign bool) {
	r.Shuffle(len(stubs), func(i, j int) { stubs[i], stubs[j] = stubs[j], stubs[i] })
	for i := 0; i+1 < len(stubs); i += 2 {
		a, b := stubs[i], stubs[i+1]
		apart := g.people.Tenant[a] != g.people.Tenant[b]
		if a == b || apart != foreign || g.know(a, b) {
			continue
		}
		g.lists[a] = append(g.lists[a], b)
		g.lists[b] = append(g.lists[b], a)
	}
}

func (g *graph) know(a, b int32) bool {
	if len(g.lists[a]) > len(g.lists[b]) {
		a, b = b, a
	}
	return slices.Contains(g.lists[a], b)
}

// hot gives each hot user an audience who need not be known to them.
func (p *People) hot(r *rand.Rand) {
	h := p.Config.Hot
	if h.Users == 0 {
		return
	}
	p.Hot = some(r, p.Config.Users, float64(h.Users)/float64(p.Config.Users))
	for _, star := range p.Hot {
		need := h.Watchers
		for _, u := range r.Perm(p.Config.Users) {
			if need == 0 {
				break
			}
			list := p.Watches[u]
			at, found := slices.BinarySearch(list, star)
			if int32(u) == star || slices.Contains(p.Hot, int32(u)) {
				continue
			}
			if !found {
				p.Watches[u] = slices.Insert(list, at, star)
			}
			need--
		}
	}
}
