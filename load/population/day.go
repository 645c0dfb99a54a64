package population

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// change is something in somebody's day.
type change struct {
	at     time.Duration // time of the day
	action Action
	state  State
}

// schedule is one person's working day, in order of time: a login first, a
// logout last.
type schedule []change

// Of an ordinary office, and of the people in it.
const (
	arrival      = 9 * time.Hour
	arrivalSigma = 18 * time.Minute
	lunch        = 12*time.Hour + 15*time.Minute
	leaving      = 17*time.Hour + 30*time.Minute
	meetings     = 0.30 // chance that a full hour begins with one
	calls        = 0.20 // chance that an hour has a call at its half
	breaks       = 0.60 // chance that an hour has a moment of idling
)

// day is the same for the same user and seed, so it need not be kept.
func (p *People) day(user int32) schedule {
	r := rand.New(rand.NewPCG(p.Seed, streamDay<<32|uint64(uint32(user))))
	around := func(t, sigma time.Duration) time.Duration {
		return t + time.Duration(min(max(r.NormFloat64(), -3), 3)*float64(sigma))
	}
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(r.Int64N(int64(b-a))) }
	come, eat, leave := around(arrival, arrivalSigma), around(lunch, 15*time.Minute), around(leaving, 35*time.Minute)
	back := eat + between(25*time.Minute, 60*time.Minute)
	var s schedule
	span := func(from, to time.Duration, state State) {
		if from > come && to < leave && (to < eat || from > back) {
			s = append(s, change{from, Publish, state}, change{to, Publish, Available})
		}
	}
	for hour := 7 * time.Hour; hour < 20*time.Hour; hour += time.Hour {
		start := hour + between(0, 90*time.Second) // people are not exactly on time
		if r.Float64() < meetings {
			state := InAMeeting
			if r.Float64() < 0.15 {
				state = Presenting
			}
			span(start, hour+between(24*time.Minute, 29*time.Minute), state)
		}
		if r.Float64() < calls {
			from := hour + between(30*time.Minute, 35*time.Minute)
			span(from, from+between(2*time.Minute, 10*time.Minute), InACall)
		}
		if r.Float64() < breaks {
			from := hour + between(46*time.Minute, 50*time.Minute)
			span(from, from+between(2*time.Minute, 8*time.Minute), Idle)
		}
	}
	s = append(s, change{come, Login, Available}, change{eat, Publish, Away}, change{back, Publish, Available},
		change{leave, Publish, Away}, change{leave + between(time.Minute, 20*time.Minute), Logout, Away})
	slices.SortStableFunc(s, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	return s
}

// at is what somebody shows at a time of the day, and whether they are there.
func (s schedule) at(t time.Duration) (state State, present bool) {
	for _, c := range s {
		if c.at > t {
			break
		}
		state, present = c.state, c.action != Logout
	}
	return state, present
}

// working is everybody's day, from a time of the day on, as fast as asked.
type working struct {
	people *People
	a      Activity
	length time.Duration
	due    heads // order is the user, e the next change, at its time in the load
	turn   []int32
}

func (p *People) working(a Activity, length time.Duration) stream {
	w := &working{people: p, a: a, length: length, turn: make([]int32, p.Config.Users)}
	for u := range p.Config.Users {
		if h, ok := w.after(int32(u)); ok {
			w.due = append(w.due, h)
		}
	}
	heap.Init(&w.due)
	return w
}

// after is the next change of a user that lies in the load.
func (w *working) after(user int32) (head, bool) {
	for s := w.people.day(user); int(w.turn[user]) < len(s); {
		c := s[w.turn[user]]
		w.turn[user]++
		if c.at <= w.a.Start {
			continue
		}
		at := time.Duration(float64(c.at-w.a.Start) / w.a.Speed)
		return head{e: Event{At: at, Action: c.action, User: user, State: c.state}, order: int(user)}, at < w.length
	}
	return head{}, false
}

func (w *working) next() (Event, bool) {
	if len(w.due) == 0 {
		return Event{}, false
	}
	e := w.due[0].e
	if h, ok := w.after(e.User); ok {
		w.due[0] = h
		heap.Fix(&w.due, 0)
	} else {
		heap.Pop(&w.due)
	}
	return e, true
}
