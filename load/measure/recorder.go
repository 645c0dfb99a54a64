package measure

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency names a histogram; its string is what objectives call it.
type Latency uint8

// The histograms.
const (
	Acked     Latency = iota // from due to the node's answer
	Received                 // from due to each watcher's socket
	Ready                    // from when a device should connect until it knows all it watches
	Resumed                  // from when a lost device tries again until it is connected
	Staleness                // how far behind a watcher was, of pairs looked at once a second
	Lag                      // how late the load tester itself was with an event
	latencies
)

func (l Latency) String() string {
	return [latencies]string{"acked", "received", "ready", "resumed", "staleness", "lag"}[l]
}

// All are the histograms in order.
func All() []Latency { return []Latency{Acked, Received, Ready, Resumed, Staleness, Lag} }

// Counter names a count; its string is what objectives call it.
type Counter uint8

// The counts.
const (
	Published      Counter = iota // publishes sent
	Answered                      // publishes stored, by the node's answer
	Delivered                     // changes that reached a watcher for the first time
	Coalesced                     // changes a watcher did not get because a newer one replaced them
	Other                         // changes that no publish explains: fades, lost devices
	Late                          // deliveries from before a reconnect
	Duplicated                    // the same version of somebody twice in a session
	Reordered                     // an older version after a newer one
	Resent                        // batches that came again
	Denied                        // requests that the node refused
	Unsent                        // publishes given up because the ones before were not answered
	Connected                     // connections that became ready
	Resumes                       // of these, sessions that went on
	Snapshots                     // of these, sessions that could not go on after a loss
	Disconnected                  // connections that the other side ended
	FailedConnects                // attempts without a connection
	Batches
	Acks
	BytesIn
	counters
)

var counterNames = [counters]string{
	"published", "answered", "delivered", "coalesced", "other", "late", "duplicated", "reordered", "resent", "denied",
	"unsent", "connected", "resumes", "snapshots", "disconnected", "failed_connects", "batches", "acks", "bytes_in",
}

func (c Counter) String() string { return counterNames[c] }

// stripes of the busy histograms, so that receivers do not wait for one another.
const stripes = 4

// Times are kept from 1 us to 10 minutes with three digits.
const longest = int64(10 * time.Minute / time.Microsecond)

func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// Recorder takes what happens and gives it back in intervals and as a whole.
type Recorder struct {
	counts  [counters]atomic.Int64
	current [latencies][]stripe

	mu     sync.Mutex // after a stripe's
	total  [latencies]*hdrhistogram.Histogram
	began  time.Time
	last   time.Time
	before [counters]int64 // at last
	base   [counters]int64 // at began
	codes  map[string]int64
}

type stripe struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
	_  [40]byte // a cache line of its own
}

// NewRecorder begins at now.
func NewRecorder(now time.Time) *Recorder {
	r := &Recorder{began: now, last: now, codes: map[string]int64{}}
	for l := range r.current {
		n := 1
		if Latency(l) == Acked || Latency(l) == Received {
			n = stripes
		}
		r.current[l] = make([]stripe, n)
		for i := range r.current[l] {
			r.current[l][i].h = histogram()
		}
		r.total[l] = histogram()
	}
	return r
}

// Record adds one latency; who spreads callers over stripes.
func (r *Recorder) Record(l Latency, who int32, d time.Duration) {
	s := &r.current[l][int(uint32(who))%len(r.current[l])]
	us := min(max(int64(d/time.Microsecond), 0), longest)
	s.mu.Lock()
	_ = s.h.RecordValue(us) // within its range
	s.mu.Unlock()
}

// Add counts.
func (r *Recorder) Add(c Counter, n int64) { r.counts[c].Add(n) }

// Deny counts a refusal, or the end of a connection, under its code.
func (r *Recorder) Deny(c Counter, code string) {
	r.Add(c, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.codes) < maxCodes || r.codes[code] > 0 {
		r.codes[code]++
	}
}

// maxCodes bounds what a strange server can make us keep.
const maxCodes = 100

// Codes are the refusals and ends by code, since the very beginning.
func (r *Recorder) Codes() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.codes)
}

// Restart forgets the latencies and counts from now on: what was before was the
// run-up. Connecting is kept: Ready and the counts of connections.
func (r *Recorder) Restart(now time.Time) {
	r.gather(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, h := range r.total {
		if Latency(l) != Ready {
			h.Reset()
		}
	}
	for c := range r.base {
		r.base[c] = r.counts[c].Load()
		switch Counter(c) {
		case Connected, FailedConnects, Denied, Reordered, Duplicated:
			r.base[c] = 0
		}
	}
	r.began = now
}

// gather empties the stripes into the totals and calls each with what was new.
func (r *Recorder) gather(each func(l Latency, fresh *hdrhistogram.Histogram)) {
	for l := range r.current {
		fresh := histogram()
		for i := range r.current[l] {
			s := &r.current[l][i]
			s.mu.Lock()
			fresh.Merge(s.h)
			s.h.Reset()
			s.mu.Unlock()
		}
		r.mu.Lock()
		r.total[l].Merge(fresh)
		r.mu.Unlock()
		if each != nil {
			each(Latency(l), fresh)
		}
	}
}

// Point is one interval of a run.
type Point struct {
	At      time.Time
	Seconds float64
	Counts  map[string]int64
	Quant   map[string]Quantiles // of the histograms in which something was recorded
}

// Quantiles of a histogram, in ns.
type Quantiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// At is a quantile by its name in objectives, or the mean.
func (q Quantiles) At(name string) float64 {
	switch name {
	case "mean":
		return q.Mean
	case "p50":
		return q.P50
	case "p90":
		return q.P90
	case "p99":
		return q.P99
	case "p999":
		return q.P999
	}
	return q.Max
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) * 1000 }
	return Quantiles{
		Count: h.TotalCount(), Mean: h.Mean() * 1000,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) * 1000,
	}
}

// Tick ends an interval.
func (r *Recorder) Tick(now time.Time) Point {
	p := Point{At: now, Counts: make(map[string]int64, counters), Quant: map[string]Quantiles{}}
	r.gather(func(l Latency, fresh *hdrhistogram.Histogram) {
		if fresh.TotalCount() > 0 {
			p.Quant[l.String()] = quantiles(fresh)
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.counts {
		n := r.counts[c].Load()
		p.Counts[Counter(c).String()] = n - r.before[c]
		r.before[c] = n
	}
	p.Seconds = now.Sub(r.last).Seconds()
	r.last = now
	return p
}

// Totals is a run as a whole, from Restart on.
type Totals struct {
	Seconds float64
	Counts  map[string]int64
	Quant   map[string]Quantiles
	Bars    map[string][]Bar
}

// Bar is one bar of a histogram: how many took up to To, in ns, and longer than
// the bar before.
type Bar struct {
	To    float64 `json:"to"`
	Count int64   `json:"count"`
}

// Total is what there is at now.
func (r *Recorder) Total(now time.Time) Totals {
	r.gather(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	t := Totals{
		Seconds: now.Sub(r.began).Seconds(),
		Counts:  make(map[string]int64, counters), Quant: map[string]Quantiles{}, Bars: map[string][]Bar{},
	}
	for c := range r.counts {
		t.Counts[Counter(c).String()] = r.counts[c].Load() - r.base[c]
	}
	for l, h := range r.total {
		if h.TotalCount() > 0 {
			t.Quant[Latency(l).String()] = quantiles(h)
			t.Bars[Latency(l).String()] = bars(h)
		}
	}
	return t
}

const tenthOfADecade = 1.2589254

// bars cuts a histogram where a logarithmic axis has room for them: ten for each
// factor of ten, only where there is something.
func bars(h *hdrhistogram.Histogram) []Bar {
	var out []Bar
	to := int64(1)
	var sum int64
	for _, b := range h.Distribution() {
		for b.Count > 0 && b.To > to {
			if sum > 0 {
				out = append(out, Bar{float64(to) * 1000, sum})
				sum = 0
			}
			to = max(to+1, int64(float64(to)*tenthOfADecade))
		}
		sum += b.Count
	}
	if sum > 0 {
		out = append(out, Bar{float64(to) * 1000, sum})
	}
	return out
}
