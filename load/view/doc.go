// Package view shows a load test while it runs: a table in a terminal, or lines
// where there is none, and the verdict at the end.
//
// It owns what a person sees and nothing else: it is told once a second, never
// asks, and never holds the test up.
package view
