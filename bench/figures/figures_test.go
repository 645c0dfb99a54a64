package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sampleRuns = `goos: linux
note: two CPUs
BenchmarkDelivery/rollcall/inflight=1024-2   1   100000 deliveries/s   4.0 server-us/delivery
BenchmarkDelivery/rollcall/inflight=1024-2   1   300000 deliveries/s   6.0 server-us/delivery
BenchmarkDelivery/rollcall/inflight=1024-2   1   160000 deliveries/s   5.0 server-us/delivery
BenchmarkDelivery/floor-8-per-write/inflight=1024-2   1   400000 deliveries/s   2.0 server-us/delivery
BenchmarkColdStart-2   1   3500 ms-to-ready   1000000 users
PASS
`

func document(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRewritesTheMarkedPart(t *testing.T) {
	path := document(t, "before\n"+begin+"stale figures\n"+end+"after\n")
	if err := run([]string{path}, strings.NewReader(sampleRuns)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + begin + "\n- two CPUs\n", end + "after\n",
		"| acknowledged deliveries/s, 1,024 publishes in flight | >= 150,000 | 160,000 | yes | 400,000 | 0.4 |",
		"at most twice the floor | <= 4 | 5 | no | 2 | 2.5 |",
		"| cold start to ready, ms | <= 3,000 | 3,500 | no |  |  |",
		"| durable publishes/s | | not measured |",
		"### Delivery", "| rollcall/inflight=1024 | 160,000 | 5 |", "### ColdStart", "1,000,000",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q", want)
		}
	}
	if strings.Contains(string(text), "stale figures") {
		t.Error("the old figures are still there")
	}
}

func TestRefuses(t *testing.T) {
	good := begin + end
	for name, tt := range map[string]struct {
		text, input string
		want        error // nil: any
	}{
		"no markers":      {"text", sampleRuns, errMarkers},
		"markers twice":   {good + good, sampleRuns, errMarkers},
		"wrong order":     {end + begin, sampleRuns, errMarkers},
		"nothing run":     {good, "PASS\n", errEmpty},
		"a failed run":    {good, sampleRuns + "--- FAIL: BenchmarkConnect\n", nil},
		"a broken number": {good, "BenchmarkX-2 1 many deliveries/s\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := document(t, tt.text)
			err := run([]string{path}, strings.NewReader(tt.input))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != tt.text {
				t.Errorf("the document was changed: %q, %v", text, err)
			}
		})
	}
}

func TestMedianOfAnEvenNumber(t *testing.T) {
	r, err := read(strings.NewReader("BenchmarkX-2 1 4 u\nBenchmarkX-2 1 1 u\nBenchmarkX-2 1 2 u\nBenchmarkX-2 1 9 u\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := r.median("X", "u"); !ok || v != 3 {
		t.Errorf("median %v %v, want 3", v, ok)
	}
}
