package population

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Action is what happens in an event.
type Action uint8

// The actions.
const (
	Login   Action = iota // the user's devices connect, watch, and show State
	Publish               // the user's Desktop publishes State
	Drop                  // the device loses its connection for Away
	Logout                // the user's devices say goodbye
)

func (a Action) String() string { return [...]string{"login", "publish", "drop", "logout"}[a] }

// Event is one thing that somebody does.
type Event struct {
	At     time.Duration
	Action Action
	User   int32
	Device int32 // of Drop: index into People.Devices
	State  State
	Away   time.Duration
}

// Activity is what people do during the load.
type Activity struct {
	Kind     string        // KindRate, KindClosed, KindDay or KindNone
	Rate     float64       // of KindRate: publishes/s of all people together
	InFlight int           // of KindClosed: publishes under way at any time
	Pause    time.Duration // between two publishes of one user, at least; of KindRate and KindClosed
	HotEvery time.Duration // hot users change this often; 0: as everybody else
	Start    time.Duration // of KindDay: time of the day at which the load begins
	Speed    float64       // of KindDay: seconds of the day in a second of the load
}

// The kinds of activity.
const (
	KindNone   = "none"
	KindRate   = "rate"
	KindClosed = "closed"
	KindDay    = "day"
)

// Check says what cannot be, by the name of the field; users is how many people
// there are.
func (a Activity) Check(users int) (field string, err error) {
	switch a.Kind {
	case KindRate:
		if gap := time.Duration(float64(users) / a.Rate * float64(time.Second)); a.Rate > 0 && gap < a.Pause {
			return "rate", fmt.Errorf("%g publishes/s of %d users are one of each every %s, and pause is %s: "+
				"at least %.0f users are needed", a.Rate, users, gap.Round(time.Millisecond), a.Pause, a.Rate*a.Pause.Seconds())
		}
	case KindClosed:
		if a.InFlight > users {
			return "in_flight", fmt.Errorf("%d, but a user has one publish under way at most and there are %d", a.InFlight, users)
		}
	}
	return "", nil
}

// Disturbance is what goes wrong on the way, besides what people do.
type Disturbance struct {
	Storms  []Storm
	Flicker Flicker
}

// Storm is a share of all devices losing their connection together.
type Storm struct {
	At     time.Duration
	Over   time.Duration // in which they lose it
	Share  float64
	Away   time.Duration // until a device tries again
	Spread time.Duration // by so much longer, drawn for each
}

// Flicker is phones that lose the network now and then.
type Flicker struct {
	Share float64       // of the phones
	Every time.Duration // on average, each
	Away  time.Duration
}

// stream is a source of events in order of time; ok is false when it is dry.
type stream interface{ next() (e Event, ok bool) }

// Logins is how people come: spread over a time, all of them in the end. Of a
// day only those who are there when it begins.
func (p *People) Logins(over time.Duration, a Activity) iter.Seq[Event] {
	r := source(p.Seed, streamLogins)
	order := r.Perm(p.Config.Users)
	return func(yield func(Event) bool) {
		for i, u := range order {
			e := Event{At: over * time.Duration(i) / time.Duration(len(order)), Action: Login, User: int32(u)}
			if a.Kind == KindDay {
				present := false
				if e.State, present = p.day(int32(u)).at(a.Start); !present {
					continue
				}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// Events is what happens during a load of the given length. For KindClosed it is
// only what goes wrong: who publishes next depends on the answers.
func (p *People) Events(a Activity, d Disturbance, length time.Duration) iter.Seq[Event] {
	var all []stream
	switch a.Kind {
	case KindRate:
		all = append(all, p.steady(a, length))
	case KindDay:
		all = append(all, p.working(a, length))
	}
	if a.HotEvery > 0 {
		for i, u := range p.Hot {
			r := rand.New(rand.NewPCG(p.Seed, streamHot<<32|uint64(i)))
			all = append(all, &beat{user: u, every: a.HotEvery, at: time.Duration(r.Int64N(int64(a.HotEvery))), end: length})
		}
	}
	for i, s := range d.Storms {
		all = append(all, p.storm(s, uint64(i)))
	}
	if d.Flicker.Share > 0 {
		all = append(all, p.flicker(d.Flicker, length))
	}
	return merge(all)
}

// merge puts several streams in one order of time.
func merge(all []stream) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		h := make(heads, 0, len(all))
		for i, s := range all {
			if e, ok := s.next(); ok {
				h = append(h, head{e, i, s})
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].e) {
				return
			}
			if e, ok := h[0].from.next(); ok {
				h[0].e = e
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
	}
}

type head struct {
	e     Event
	order int
	from  stream
}

// heads is a heap of the next event of each stream.
type heads []head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].e.At, h[j].e.At), cmp.Compare(h[i].order, h[j].order)) < 0
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(head)) }
func (h *heads) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
