package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"rollcall/load/measure"
)

// Outcome is one load test, whole. Times are in ns, memory in bytes, where a
// field's name does not say otherwise.
type Outcome struct {
	Format      int                          `json:"format"` // of this file: Format
	Scenario    string                       `json:"scenario"`
	About       string                       `json:"about,omitempty"`
	Source      string                       `json:"source"` // the scenario's text
	Seed        uint64                       `json:"seed"`
	Began       time.Time                    `json:"began"`
	Load        float64                      `json:"loadSeconds"` // length of what was measured
	Environment Environment                  `json:"environment"`
	Population  Population                   `json:"population"`
	Values      map[string]float64           `json:"values"` // every metric that an objective may name, if it was measured
	Verdicts    []Verdict                    `json:"verdicts"`
	Passed      bool                         `json:"passed"`
	Latencies   map[string]measure.Quantiles `json:"latencies"`
	Bars        map[string][]measure.Bar     `json:"bars"`
	Codes       map[string]int64             `json:"codes,omitempty"` // refusals and closed connections
	Notes       []string                     `json:"notes,omitempty"` // what a reader of the figures must know
	Series      []Moment                     `json:"series"`
}

// Format is what this version of the program writes and reads.
const Format = 1

// Environment is where it ran.
type Environment struct {
	Machine string   `json:"machine"`
	Targets []string `json:"targets"`
	OwnNode bool     `json:"ownNode"`
	Fsync   bool     `json:"fsync"` // of an own node
	Go      string   `json:"go"`
	Command string   `json:"command"`
}

// Population is who took part.
type Population struct {
	Users   int `json:"users"`
	Devices int `json:"devices"`
	Tenants int `json:"tenants"`
	Pairs   int `json:"pairs"` // of watching device and watched user
	Most    int `json:"mostWatchers"`
}

// Verdict is whether an objective holds.
type Verdict struct {
	Objective string  `json:"objective"`
	Value     float64 `json:"value"`
	Measured  bool    `json:"measured"`
	Held      bool    `json:"held"`
}

// Moment is one interval of a second or so.
type Moment struct {
	T         float64                      `json:"t"` // s since the load began; before it, below zero
	Seconds   float64                      `json:"seconds"`
	Phase     string                       `json:"phase"`
	Counts    map[string]int64             `json:"counts"`
	Latencies map[string]measure.Quantiles `json:"latencies,omitempty"`
	Connected int                          `json:"connected"`
	Server    *Server                      `json:"server,omitempty"`
	OwnCPU    float64                      `json:"ownCPU"` // of the load tester, in CPUs
}

// Server is how the nodes were in an interval.
type Server struct {
	CPU        float64 `json:"cpu"` // in CPUs
	Memory     float64 `json:"memory"`
	Heap       float64 `json:"heap"`
	Goroutines float64 `json:"goroutines"`
	Sockets    float64 `json:"sockets"`
	Deliveries float64 `json:"deliveries"` // a second
}

// WriteJSON writes an outcome.
func (o *Outcome) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(o)
}

// mostJSON is far above what a day of moments takes, in bytes.
const mostJSON = 256 << 20

// Read reads what WriteJSON has written to a file.
func Read(file string) (*Outcome, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read
	o, err := parse(io.LimitReader(f, mostJSON))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return o, nil
}

// ErrOutcome says that a file is none of a load test's.
var ErrOutcome = errors.New("not the JSON of a load test")

func parse(r io.Reader) (*Outcome, error) {
	var o Outcome
	if err := json.NewDecoder(r).Decode(&o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutcome, err)
	}
	if o.Format != Format {
		return nil, fmt.Errorf("%w of format %d: it has %d", ErrOutcome, Format, o.Format)
	}
	return &o, nil
}
