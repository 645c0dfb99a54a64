package population

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// steady is publishes at random moments with a fixed mean rate, by everybody in
// turn, so that one user's come as far apart as they can.
type steady struct {
	r     *rand.Rand
	rate  float64
	order []int
	turn  int
	at    time.Duration
	end   time.Duration
}

func (p *People) steady(a Activity, length time.Duration) stream {
	r := source(p.Seed, streamPublish)
	return &steady{r: r, rate: a.Rate, order: p.Publishers(a, r), end: length}
}

// Publishers is the order in which people publish: all of them, without the hot
// ones where those have a rhythm of their own.
func (p *People) Publishers(a Activity, r *rand.Rand) []int {
	hot := make(map[int]bool, len(p.Hot))
	for _, u := range p.Hot {
		hot[int(u)] = a.HotEvery > 0
	}
	var order []int
	for _, u := range r.Perm(p.Config.Users) {
		if !hot[u] {
			order = append(order, u)
		}
	}
	return order
}

// Turns is Publishers with the randomness of the population's seed.
func (p *People) Turns(a Activity) []int { return p.Publishers(a, source(p.Seed, streamPublish)) }

func (s *steady) next() (Event, bool) {
	if s.rate <= 0 || len(s.order) == 0 {
		return Event{}, false
	}
	s.at += time.Duration(s.r.ExpFloat64() / s.rate * float64(time.Second))
	if s.at >= s.end {
		return Event{}, false
	}
	u, round := s.order[s.turn%len(s.order)], s.turn/len(s.order)
	s.turn++
	return Event{At: s.at, Action: Publish, User: int32(u), State: Alternating(round)}, true
}

// Alternating is the n-th state of somebody whose every publish is a change that
// others see. A Login shows Available.
func Alternating(n int) State {
	return [...]State{Busy, Available, InACall, Away, Presenting, Available}[n%6]
}

// beat is one user who changes at fixed times.
type beat struct {
	user  int32
	every time.Duration
	at    time.Duration
	end   time.Duration
	n     int
}

func (b *beat) next() (Event, bool) {
	if b.at >= b.end {
		return Event{}, false
	}
	e := Event{At: b.at, Action: Publish, User: b.user, State: Alternating(b.n)}
	b.n++
	b.at += b.every
	return e, true
}

// listed is a stream of events that are known beforehand.
type listed struct{ events []Event }

func (l *listed) next() (Event, bool) {
	if len(l.events) == 0 {
		return Event{}, false
	}
	e := l.events[0]
	l.events = l.events[1:]
	return e, true
}

func (p *People) storm(s Storm, n uint64) stream {
	r := rand.New(rand.NewPCG(p.Seed, streamStorm<<32|n))
	devices := some(r, len(p.Devices), s.Share)
	r.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	l := &listed{events: make([]Event, len(devices))}
	for i, d := range devices {
		l.events[i] = Event{
			At:     s.At + s.Over*time.Duration(i)/time.Duration(len(devices)),
			Action: Drop, User: p.Devices[d].User, Device: d, Away: s.Away,
		}
		if s.Spread > 0 {
			l.events[i].Away += time.Duration(r.Int64N(int64(s.Spread)))
		}
	}
	return l
}

// flicker has one clock for each phone that flickers.
type flicker struct {
	f    Flicker
	r    *rand.Rand
	end  time.Duration
	due  heads
	user []Device
}

func (p *People) flicker(f Flicker, length time.Duration) stream {
	r := source(p.Seed, streamFlicker)
	k := &flicker{f: f, r: r, end: length, user: p.Devices}
	for d, device := range p.Devices {
		if device.Kind == Mobile && r.Float64() < f.Share {
			k.due = append(k.due, head{e: Event{At: k.gap(), Device: int32(d)}, order: d})
		}
	}
	heap.Init(&k.due)
	return k
}

func (k *flicker) gap() time.Duration {
	return time.Duration(k.r.ExpFloat64() * float64(k.f.Every))
}

func (k *flicker) next() (Event, bool) {
	if len(k.due) == 0 || k.due[0].e.At >= k.end {
		return Event{}, false
	}
	d := k.due[0].e.Device
	e := Event{At: k.due[0].e.At, Action: Drop, User: k.user[d].User, Device: d, Away: k.f.Away}
	k.due[0].e.At += k.f.Away + k.gap()
	heap.Fix(&k.due, 0)
	return e, true
}
