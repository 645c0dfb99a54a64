package report

import (
	_ "embed"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"rollcall/load/scenario"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"duration": duration, "size": size, "number": number, "value": value,
	"clock":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
	"metric": func(objective string) string { name, _, _ := strings.Cut(objective, " "); return name },
}).Parse(pageText))

// value is a metric as people read it.
func value(metric string, v float64) string {
	switch scenario.UnitOf(metric) {
	case scenario.Time:
		return duration(v)
	case scenario.Bytes:
		return size(v)
	case scenario.PerSecond:
		return number(v) + "/s"
	}
	return trim(v)
}

// row is a line of a table.
type row struct {
	Name  string
	Cells []string
}

// pageData is what the page shows.
type pageData struct {
	*Outcome
	Plots      []template.HTML
	Histograms []template.HTML
	Latency    []row
	Counts     []row
	Codes      []row
	Held       int
}

// WriteHTML writes the page.
func (o *Outcome) WriteHTML(w io.Writer) error {
	d := pageData{Outcome: o, Plots: o.plots(), Histograms: o.histograms(), Latency: o.latencyRows(), Counts: o.countRows()}
	for _, name := range slices.Sorted(maps.Keys(o.Codes)) {
		d.Codes = append(d.Codes, row{name, []string{trim(float64(o.Codes[name]))}})
	}
	for _, v := range o.Verdicts {
		if v.Held {
			d.Held++
		}
	}
	return page.Execute(w, d)
}

// Colours that are told apart on white, also by most of the colour-blind.
const (
	blue, orange, green, red, grey = "#1f6fb2", "#d9730d", "#2a8a4a", "#c0392b", "#777"
)

func (o *Outcome) plots() []template.HTML {
	if len(o.Series) == 0 {
		return nil
	}
	from, to := o.Series[0].T-o.Series[0].Seconds, o.Series[len(o.Series)-1].T
	draw := func(title string, unit func(float64) string, log bool, lines ...curve) template.HTML {
		p := plot{title: title, unit: unit, log: log, from: from, to: to}
		for _, c := range lines {
			if slices.ContainsFunc(c.values, func(v float64) bool { return !math.IsNaN(v) }) {
				p.lines = append(p.lines, c)
			}
		}
		if len(p.lines) == 0 {
			return ""
		}
		return p.svg()
	}
	all := []template.HTML{
		draw("Deliveries a second", number, false, o.count("delivered", blue)),
		draw("Publishes a second", number, false, o.count("published", blue), o.count("answered", green)),
		draw("From due to received", duration, true, o.quantile("received", "p50", blue), o.quantile("received", "p99", orange), o.quantile("received", "max", grey)),
		draw("From due to acknowledged", duration, true, o.quantile("acked", "p50", blue), o.quantile("acked", "p99", orange), o.quantile("acked", "max", grey)),
		draw("From logging in or coming back to being there", duration, true, o.quantile("ready", "p99", blue), o.quantile("resumed", "p99", orange)),
		draw("Staleness of watched pairs", duration, true, o.quantile("staleness", "p99", blue), o.quantile("staleness", "max", grey)),
		draw("Devices connected", number, false, o.each("connected", blue, func(m *Moment) float64 { return float64(m.Connected) })),
		draw("Problems a second", number, false, o.count("denied", red), o.count("disconnected", orange), o.count("failed_connects", grey)),
		draw("CPUs used", number, false, o.server("nodes", blue, func(s *Server) float64 { return s.CPU }),
			o.each("load tester", grey, func(m *Moment) float64 { return m.OwnCPU })),
		draw("Memory of the nodes", size, false, o.server("resident", blue, func(s *Server) float64 { return s.Memory }),
			o.server("heap", green, func(s *Server) float64 { return s.Heap })),
	}
	return slices.DeleteFunc(all, func(h template.HTML) bool { return h == "" })
}

func (o *Outcome) each(name, colour string, of func(*Moment) float64) curve {
	c := curve{name: name, colour: colour}
	for i := range o.Series {
		c.at = append(c.at, o.Series[i].T)
		c.values = append(c.values, of(&o.Series[i]))
	}
	return c
}

func (o *Outcome) count(name, colour string) curve {
	return o.each(name, colour, func(m *Moment) float64 { return float64(m.Counts[name]) / max(m.Seconds, 1e-3) })
}

func (o *Outcome) quantile(name, which, colour string) curve {
	return o.each(which+" of "+name, colour, func(m *Moment) float64 {
		q, ok := m.Latencies[name]
		if !ok {
			return math.NaN()
		}
		return max(q.At(which), 1000)
	})
}

// server is asked less often than there are moments: the gaps are left out.
func (o *Outcome) server(name, colour string, of func(*Server) float64) curve {
	c := curve{name: name, colour: colour}
	for i := range o.Series {
		if s := o.Series[i].Server; s != nil {
			c.at, c.values = append(c.at, o.Series[i].T), append(c.values, of(s))
		}
	}
	return c
}

func (o *Outcome) histograms() []template.HTML {
	var all []template.HTML
	for _, h := range []struct{ name, title, colour string }{
		{"received", "How long until received", blue}, {"acked", "How long until acknowledged", green},
		{"ready", "How long until a new device knew all it watches", orange}, {"resumed", "How long until a lost device was back", red},
	} {
		if svg := histogramSVG(h.title, h.colour, o.Bars[h.name]); svg != "" {
			all = append(all, svg)
		}
	}
	return all
}

func (o *Outcome) latencyRows() []row {
	var rows []row
	for _, name := range scenario.Latencies {
		q, ok := o.Latencies[name]
		if !ok {
			continue
		}
		r := row{name, []string{trim(float64(q.Count))}}
		for _, which := range []string{"mean", "p50", "p90", "p99", "p999", "max"} {
			r.Cells = append(r.Cells, duration(q.At(which)))
		}
		rows = append(rows, r)
	}
	return rows
}

// countRows are the values that are no quantiles.
func (o *Outcome) countRows() []row {
	var rows []row
	for _, name := range slices.Sorted(maps.Keys(o.Values)) {
		first, _, _ := strings.Cut(name, ".")
		if !slices.Contains(scenario.Latencies, first) || name == "ready.rate" {
			rows = append(rows, row{name, []string{value(name, o.Values[name])}})
		}
	}
	return rows
}
