package run

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"rollcall/load/measure"
	"rollcall/load/report"
	"rollcall/load/scenario"
)

// outcome puts together what a run has found. Latencies and counts are those up
// to the very end, so that what came late counts; rates are of the load alone.
func (r *Run) outcome(began time.Time, final measure.Totals) *report.Outcome {
	s := r.cfg.Scenario
	r.series.mu.Lock()
	defer r.series.mu.Unlock()
	o := &report.Outcome{
		Format: report.Format, Scenario: s.Name, About: s.About, Source: s.Source, Seed: r.cfg.People.Seed, Began: began,
		Load:      r.series.totals.Seconds,
		Values:    map[string]float64{},
		Latencies: final.Quant, Bars: final.Bars, Codes: r.recorder.Codes(), Series: r.series.moments,
	}
	for i := range o.Series {
		o.Series[i].T = r.series.at[i].Sub(r.series.loaded).Seconds()
	}
	o.Environment.Go = runtime.Version()
	for _, t := range r.cfg.Targets {
		o.Environment.Targets = append(o.Environment.Targets, t.URL)
	}
	_, pairs := r.cfg.People.Pairs()
	o.Population = report.Population{
		Users: r.cfg.People.Config.Users, Devices: len(r.clients), Tenants: r.cfg.People.Config.Tenants, Pairs: pairs,
		Most: int(slices.Max(r.cfg.People.Observers())),
	}
	for name, n := range final.Counts {
		o.Values[name] = float64(n)
	}
	for name, q := range final.Quant {
		o.Values[name+".mean"] = q.Mean
		for which := range scenario.Quantiles {
			o.Values[name+"."+which] = q.At(which)
		}
	}
	r.rates(o)
	r.server(o)
	r.note(o)
	return o
}

func (r *Run) rates(o *report.Outcome) {
	t := r.series.totals
	if t.Seconds <= 0 {
		return
	}
	for _, c := range []measure.Counter{measure.Published, measure.Answered, measure.Delivered} {
		o.Values[c.String()+".rate"] = float64(t.Counts[c.String()]) / t.Seconds
	}
	if over := r.cfg.Scenario.Connect.Over.Seconds(); over > 0 {
		o.Values["ready.rate"] = float64(t.Quant["ready"].Count) / over
	}
}

func (r *Run) server(o *report.Outcome) {
	from, to := r.series.from, r.series.to
	if len(r.cfg.Admins) == 0 || to.Memory == 0 || o.Load <= 0 {
		return
	}
	o.Values["server.cpu"] = (to.CPU - from.CPU) / o.Load
	o.Values["server.memory"] = max(r.series.peak, to.Memory)
	if to.Sockets > 0 {
		o.Values["server.memory_per_socket"] = to.Memory / to.Sockets
	}
	if n := to.Deliveries - from.Deliveries; n > 0 {
		o.Values["server.cpu_per_delivery"] = (to.CPU - from.CPU) / n * float64(time.Second)
	}
}

// verdicts judges every objective. One whose metric was not measured does not
// hold.
func verdicts(o *report.Outcome, objectives []scenario.Objective) (passed bool) {
	passed = true
	for _, x := range objectives {
		v, measured := o.Values[x.Metric]
		held := measured && x.Holds(v)
		o.Verdicts = append(o.Verdicts, report.Verdict{Objective: x.Text, Value: v, Measured: measured, Held: held})
		passed = passed && held
	}
	return passed
}

// lagging is how late the load tester may be before its figures are in doubt.
const lagging = 20 * time.Millisecond

// note says what a reader of the figures must know.
func (r *Run) note(o *report.Outcome) {
	say := func(format string, args ...any) { o.Notes = append(o.Notes, fmt.Sprintf(format, args...)) }
	if lag := o.Values["lag.p99"]; lag > float64(lagging) {
		say("The load tester itself was up to %s late with 1 %% of the events: it, or the machine, had too little CPU. "+
			"Latencies include that.", time.Duration(lag).Round(time.Millisecond))
	}
	if own := (r.series.own[1] - r.series.own[0]) / max(o.Load, 1e-3); own > 0 && r.series.own[1] > 0 {
		say("The load tester used %.2f CPUs and %.0f MiB.", own, r.series.memory/(1<<20))
	}
	if r.series.failed != nil && len(r.cfg.Admins) > 0 {
		say("The node's metrics could not be read all the time: %s.", r.series.failed)
	}
	if n := o.Values["denied"]; n > 0 {
		say("%.0f requests were denied; the codes say why.", n)
	}
}
