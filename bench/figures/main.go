// Command figures turns the output of repeated benchmark runs into the tables of
// docs/benchmarks.md: it takes the median of each figure, compares what has a
// goal with it and with the floor of the same runs, and replaces the text between
// the two markers of the document. It runs no benchmark and changes nothing else.
//
//	go test -bench ... (three times) ──▶ stdin ──▶ medians ──▶ docs/benchmarks.md
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// run reads results and rewrites the document named by the only argument.
func run(args []string, in io.Reader) error {
	if len(args) != 1 {
		return errors.New("usage: figures DOCUMENT <RESULTS")
	}
	r, err := read(in)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	out, err := replace(string(text), strings.Join(r.notes, "")+"\n"+r.goals()+"\n"+r.tables())
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[0], []byte(out), 0o644)
}

// The markers are lines of their own.
const (
	begin = "<!-- figures:begin (make figures writes this part) -->\n"
	end   = "<!-- figures:end -->\n"
)

var errMarkers = errors.New("the two markers are not there once each, in order")

func replace(text, figures string) (string, error) {
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed || strings.Contains(after, begin) || strings.Contains(after, end) {
		return "", errMarkers
	}
	return before + begin + "\n" + figures + "\n" + end + after, nil
}

// results are the values of every run, by benchmark and unit, in the order in
// which they were first seen.
type results struct {
	notes  []string // about the machine and the runs
	names  []string
	units  map[string][]string
	values map[string]map[string][]float64
}

var errEmpty = errors.New("the input has no benchmark results")

// read takes lines of the Go benchmark format; lines that begin with
// "note: " go into the document as they are, others are passed over. A failed run is
// an error: its figures must not be published.
func read(in io.Reader) (*results, error) {
	r := &results{units: map[string][]string{}, values: map[string]map[string][]float64{}}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "FAIL") {
			return nil, fmt.Errorf("a run has failed: %s", line)
		}
		if note, ok := strings.CutPrefix(line, "note: "); ok {
			r.notes = append(r.notes, "- "+note+"\n")
		}
		if f := strings.Fields(line); len(f) >= 4 && strings.HasPrefix(f[0], "Benchmark") {
			if err := r.add(f); err != nil {
				return nil, fmt.Errorf("%w in %q", err, line)
			}
		}
	}
	if len(r.names) == 0 && lines.Err() == nil {
		return nil, errEmpty
	}
	return r, lines.Err()
}

// add takes the fields of a line: name, iterations, then values with their units.
func (r *results) add(f []string) error {
	name := strings.TrimPrefix(f[0], "Benchmark")
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		if _, err := strconv.Atoi(name[i+1:]); err == nil {
			name = name[:i] // the number of CPUs
		}
	}
	if r.values[name] == nil {
		r.values[name] = map[string][]float64{}
		r.names = append(r.names, name)
	}
	for i := 2; i+1 < len(f); i += 2 {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return err
		}
		unit := f[i+1]
		if !slices.Contains(r.units[name], unit) {
			r.units[name] = append(r.units[name], unit)
		}
		r.values[name][unit] = append(r.values[name][unit], v)
	}
	return nil
}

// median gives the middle of a figure's values, false if there are none. Of an
// even number it is the mean of the two in the middle.
func (r *results) median(name, unit string) (float64, bool) {
	v := slices.Sorted(slices.Values(r.values[name][unit]))
	n := len(v)
	if n == 0 {
		return 0, false
	}
	return (v[(n-1)/2] + v[n/2]) / 2, true
}

// tables are all figures: one table for each benchmark, a row for each case.
func (r *results) tables() string {
	var b strings.Builder
	var groups []string
	cases := map[string][]string{}
	for _, name := range r.names {
		group, _, _ := strings.Cut(name, "/")
		if cases[group] == nil {
			groups = append(groups, group)
		}
		cases[group] = append(cases[group], name)
	}
	for _, g := range groups {
		r.table(&b, g, cases[g])
	}
	return b.String()
}

func (r *results) table(b *strings.Builder, group string, names []string) {
	var units []string
	for _, name := range names {
		for _, u := range r.units[name] {
			if !slices.Contains(units, u) {
				units = append(units, u)
			}
		}
	}
	slices.Sort(units)
	fmt.Fprintf(b, "\n### %s\n\n| case | %s |\n|---|%s\n", group, strings.Join(units, " | "), strings.Repeat("---|", len(units)))
	for _, name := range names {
		_, kind, ok := strings.Cut(name, "/")
		if !ok {
			kind = "all"
		}
		fmt.Fprintf(b, "| %s |", kind)
		for _, u := range units {
			text := ""
			if v, ok := r.median(name, u); ok {
				text = number(v)
			}
			fmt.Fprintf(b, " %s |", text)
		}
		b.WriteString("\n")
	}
}

// number has three digits, or all before the point.
func number(v float64) string {
	if v >= 100 || v <= -100 {
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func thousands(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
