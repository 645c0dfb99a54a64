package run

import (
	"context"
	"sync"
	"time"

	"rollcall/load/measure"
	"rollcall/load/report"
	"rollcall/load/target"
)

// series is a run second by second, and the node at the load's beginning and end.
type series struct {
	run  *Run
	done sync.WaitGroup

	mu      sync.Mutex
	phase   Phase
	entered time.Time
	loaded  time.Time // when the load began; zero before
	moments []report.Moment
	at      []time.Time   // of the moments
	server  target.Sample // the last one
	taken   time.Time
	failed  error // why there is no server
	from    target.Sample
	to      target.Sample
	totals  measure.Totals // at the load's end
	own     [2]float64     // CPU of the load tester at the load's beginning and end
	memory  float64        // of the load tester at the load's end
	peak    float64        // memory of the server
}

// scrapeEvery is how often the node is asked; a question costs it some ms.
const scrapeEvery = 2 * time.Second

func (s *series) begin(r *Run, ctx context.Context) {
	s.mu.Lock()
	s.run, s.entered = r, time.Now()
	s.mu.Unlock()
	if len(r.cfg.Admins) > 0 {
		s.done.Go(func() { s.scrape(ctx) })
	}
	s.done.Go(func() { s.tick(ctx) })
}

func (s *series) wait() { s.done.Wait() }

func (s *series) enter(p Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.entered = p, time.Now()
}

// mark is the load's beginning, markEnd its end: with the node's counts there.
func (s *series) mark() {
	sample, err := s.ask()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = time.Now()
	s.from, s.failed = sample, err
	s.own[0], _ = target.OwnUsage()
}

func (s *series) markEnd() {
	totals := s.run.recorder.Total(time.Now())
	sample, err := s.ask()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals, s.to = totals, sample
	if err != nil {
		s.failed = err
	}
	s.own[1], s.memory = target.OwnUsage()
}

func (s *series) ask() (target.Sample, error) {
	ctx, cancel := context.WithTimeout(s.run.ctx, 5*time.Second)
	defer cancel()
	return target.Scrape(ctx, s.run.cfg.Admins)
}

func (s *series) scrape(ctx context.Context) {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for {
		if sample, err := s.ask(); err == nil {
			s.took(sample, time.Now())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// took notes a sample in the last moment, as rates since the one before.
func (s *series) took(now target.Sample, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, since := s.server, at.Sub(s.taken).Seconds()
	s.server, s.taken = now, at
	if s.phase == Load {
		s.peak = max(s.peak, now.Memory)
	}
	if before.CPU == 0 || since <= 0 || len(s.moments) == 0 {
		return
	}
	s.moments[len(s.moments)-1].Server = &report.Server{
		CPU: max(now.CPU-before.CPU, 0) / since, Memory: now.Memory, Heap: now.Heap, Goroutines: now.Goroutines,
		Sockets: now.Sockets, Deliveries: max(now.Deliveries-before.Deliveries, 0) / since,
	}
}

// tick makes a moment of each second and tells it.
func (s *series) tick(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	cpu, _ := target.OwnUsage()
	for {
		select {
		case now := <-tick.C:
			cpu = s.moment(now, cpu)
		case <-ctx.Done():
			s.moment(time.Now(), cpu)
			return
		}
	}
}

func (s *series) moment(now time.Time, cpuBefore float64) (cpu float64) {
	p := s.run.recorder.Tick(now)
	cpu, _ = target.OwnUsage()
	s.mu.Lock()
	m := report.Moment{
		Seconds: p.Seconds, Phase: s.phase.String(), Counts: p.Counts, Latencies: p.Quant,
		Connected: int(s.run.connected.Load()), OwnCPU: (cpu - cpuBefore) / max(p.Seconds, 1e-3),
	}
	s.moments, s.at = append(s.moments, m), append(s.at, now)
	progress := Progress{
		Moment: m, Phase: s.phase, Elapsed: now.Sub(s.entered), Length: s.run.length(s.phase),
		Connected: m.Connected, Devices: len(s.run.clients), Behind: int(s.run.behind.Load()),
	}
	if n := len(s.moments); n > 1 && s.moments[n-2].Server != nil {
		progress.Server = s.moments[n-2].Server
	}
	s.mu.Unlock()
	if s.run.cfg.Progress != nil {
		s.run.cfg.Progress(progress)
	}
	return cpu
}

// length is about how long a phase takes.
func (r *Run) length(p Phase) time.Duration {
	switch p {
	case Connecting:
		return r.cfg.Scenario.Connect.Over + time.Second
	case Load:
		return r.cfg.Scenario.Duration
	case Quiet:
		return r.cfg.Scenario.Settle
	}
	return 0
}
