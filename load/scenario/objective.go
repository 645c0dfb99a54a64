package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Objective is something that must hold, as `received.p99 <= 100ms`.
type Objective struct {
	Text   string
	Metric string
	Op     string  // <=, <, >=, > or ==
	Limit  float64 // in the metric's unit
	Unit   Unit
}

// Unit is what a metric is counted in.
type Unit uint8

// The units: times in ns, memory in bytes.
const (
	Count Unit = iota
	PerSecond
	Time
	Bytes
)

// Holds compares a measured value.
func (o Objective) Holds(v float64) bool {
	switch o.Op {
	case "<=":
		return v <= o.Limit
	case "<":
		return v < o.Limit
	case ">=":
		return v >= o.Limit
	case ">":
		return v > o.Limit
	}
	return v == o.Limit
}

// Latencies are the histograms, each with the quantiles of Quantiles.
var Latencies = []string{"acked", "received", "ready", "resumed", "staleness", "lag"}

// Quantiles are what a histogram tells, by name. The maximum is 100.
var Quantiles = map[string]float64{"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}

// units has every metric.
var units = func() map[string]Unit {
	m := map[string]Unit{
		"published.rate": PerSecond, "answered.rate": PerSecond, "delivered.rate": PerSecond, "ready.rate": PerSecond,
		"server.cpu_per_delivery": Time, "server.cpu": Count, "server.memory": Bytes, "server.memory_per_socket": Bytes,
	}
	for _, name := range []string{
		"lost", "duplicated", "reordered", "denied", "unanswered", "unsent", "resent", "coalesced", "published", "answered",
		"delivered", "connected", "disconnected", "failed_connects", "resumes", "snapshots", "late",
	} {
		m[name] = Count
	}
	for _, l := range Latencies {
		m[l+".mean"] = Time
		for q := range Quantiles {
			m[l+"."+q] = Time
		}
	}
	return m
}()

// Metrics are the names that an objective may use, in order.
func Metrics() []string { return slices.Sorted(maps.Keys(units)) }

// UnitOf is a metric's.
func UnitOf(metric string) Unit { return units[metric] }

func (p *parser) objective(s *Scenario, path string, n *yaml.Node) {
	text, ok := p.scalar(path, n, "a line as `received.p99 <= 100ms`")
	if !ok {
		return
	}
	o, err := ParseObjective(text)
	if err != nil {
		p.fail(n.Line, path, "%s", err)
		return
	}
	s.Objectives = append(s.Objectives, o)
}

// ParseObjective reads `metric op limit`.
func ParseObjective(text string) (Objective, error) {
	parts := strings.Fields(text)
	if len(parts) != 3 {
		return Objective{}, fmt.Errorf("%s is not as `received.p99 <= 100ms`", strconv.Quote(cut(text)))
	}
	o := Objective{Text: strings.Join(parts, " "), Metric: parts[0], Op: parts[1]}
	unit, ok := units[o.Metric]
	if !ok {
		return o, fmt.Errorf("unknown metric %s, known are %s", strconv.Quote(cut(o.Metric)), strings.Join(Metrics(), ", "))
	}
	if !slices.Contains([]string{"<=", "<", ">=", ">", "=="}, o.Op) {
		return o, fmt.Errorf("%s is none of <= < >= > ==", strconv.Quote(cut(o.Op)))
	}
	o.Unit = unit
	var err error
	if o.Limit, err = parseLimit(unit, parts[2]); err != nil {
		return o, err
	}
	return o, nil
}

func parseLimit(unit Unit, text string) (float64, error) {
	switch unit {
	case Time:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%s is no time as 500us, 100ms or 2s", strconv.Quote(cut(text)))
		}
		return float64(d), nil
	case Bytes:
		return parseBytes(text)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v < 1e18) {
		return 0, fmt.Errorf("%s is no number from 0", strconv.Quote(cut(text)))
	}
	return v, nil
}

func parseBytes(text string) (float64, error) {
	digits := strings.TrimRight(text, "KMGiB")
	v, err := strconv.ParseFloat(digits, 64)
	factor, ok := map[string]float64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[text[len(digits):]]
	if err != nil || !ok || !(v >= 0 && v < 1e9) {
		return 0, fmt.Errorf("%s is no size as 800MiB or 2GiB", strconv.Quote(cut(text)))
	}
	return v * factor, nil
}
