package replica

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	simShards = 6
	simUsers  = 12 // user u is in shard u % simShards
	maxHosts  = 7
	maxSteps  = 1_000_000
	repair    = 40 * time.Second // from the last fault until the comparison of every minute is not needed any more
	quiet     = 110 * time.Second
	window    = 20 * time.Second // the last part of quiet, in which nothing may happen but comparing
)

// chaos is the virtual time of faults, publishes and registrations.
func chaos() time.Duration {
	if raceOn {
		return 9 * time.Second
	}
	return 16 * time.Second
}

// plant is a mistake that is to be found.
type plant struct {
	machine       bugs
	mergeArrivals bool // the store takes what came last, not what is newer
}

// world is a cluster in virtual time. All that happens follows from the seed.
type world struct {
	seed   uint64
	r      *rand.Rand
	plant  plant
	ack    int
	tempo  float64       // of faults: the higher, the fewer
	write  time.Duration // at most, of a disk
	now    time.Duration
	events agenda
	order  uint64
	hosts  []*host
	rank   [simShards][maxHosts]int // hosts in the order in which they would hold a shard
	net    network
	ledger ledger
	watch  []*observer
	calm   bool // no more faults and publishes
	steps  int

	messages int // sent so far, by machines
	ticks    int // due so far
	views    int // taken since the last fault
	story    []string
	telling  bool
	failure  string
}

type event struct {
	at    time.Duration
	order uint64
	do    func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(e any)   { *a = append(*a, e.(event)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*a = old[:len(old)-1]
	return e
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, event{w.now + max(d, 0), w.order, do})
}

// between is a random time.
func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.r.Int64N(int64(hi-lo)+1))
}

// gap is the time until the next fault.
func (w *world) gap() time.Duration {
	return time.Duration(w.tempo * float64(w.between(0, 2*time.Second)))
}

func (w *world) chance(p float64) bool { return w.r.Float64() < p }

const storyLines = 60

func (w *world) say(format string, args ...any) {
	if !w.telling {
		return
	}
	w.story = append(w.story, fmt.Sprintf("%9.3f  ", w.now.Seconds())+fmt.Sprintf(format, args...))
	if len(w.story) > 4*storyLines {
		w.story = w.story[len(w.story)-storyLines:]
	}
}

// fail notes the first thing that went wrong.
func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf("at %.3f s: ", w.now.Seconds()) + fmt.Sprintf(format, args...)
		w.say("FAILED %s", w.failure)
	}
}

func (w *world) until(end time.Duration) {
	for w.failure == "" && len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		if w.steps++; w.steps > maxSteps {
			w.fail("no end of it")
		}
		e.do()
	}
	w.now = max(w.now, end)
}

func newWorld(seed uint64, p plant, telling bool) *world {
	w := &world{seed: seed, r: rand.New(rand.NewPCG(seed, 9)), plant: p, telling: telling, ack: 2}
	if w.chance(0.2) {
		w.ack = 0
	}
	w.tempo = []float64{0.3, 1, 2.5}[w.r.IntN(3)]
	w.write = []time.Duration{5 * time.Millisecond, 100 * time.Millisecond}[w.r.IntN(2)]
	for s := range w.rank {
		copy(w.rank[s][:], w.r.Perm(maxHosts))
	}
	w.net.init(w)
	w.ledger.settledAt = -1
	for range 3 + w.r.IntN(3) {
		w.newHost()
	}
	for _, x := range w.hosts {
		for _, y := range w.hosts {
			x.known[y.id] = y.standing()
		}
	}
	for _, x := range w.hosts {
		x.start()
	}
	for u := range simUsers {
		w.watch = append(w.watch, &observer{user: u})
	}
	return w
}

// play runs a seed to its end and says what went wrong, if anything did.
func play(seed uint64, p plant, telling bool) *world {
	w := newWorld(seed, p, telling)
	w.after(0, w.nextOp)
	w.after(w.gap(), w.nextFault)
	w.after(0, w.lookForRest)
	w.until(chaos())
	w.settleDown()
	w.after(repair, w.checkRepaired)
	begin := w.messages
	w.until(chaos() + quiet - window)
	late, ticks := w.messages, w.ticks
	w.until(chaos() + quiet)
	if w.failure == "" {
		w.checkRest(late-begin, w.messages-late, w.ticks-ticks)
	}
	return w
}
