package view

import (
	"fmt"
	"io"
	"strings"

	"rollcall/load/report"
)

// Compare writes how two tests differ, metric by metric.
func Compare(w io.Writer, a, b *report.Outcome) error {
	var out strings.Builder
	for _, note := range report.Unlike(a, b) {
		fmt.Fprintf(&out, "careful: %s\n", note)
	}
	fmt.Fprintf(&out, "%-26s %14s %14s %9s\n", "", "before", "after", "change")
	for _, d := range report.Compare(a, b) {
		fmt.Fprintf(&out, "%-26s %14s %14s %9s %s\n", d.Metric, cell(d.Metric, d.Before, d.HadBefore), cell(d.Metric, d.After, d.HasAfter),
			d.Change(), d.Judgement())
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func cell(metric string, v float64, ok bool) string {
	if !ok {
		return "-"
	}
	return Value(metric, v)
}
