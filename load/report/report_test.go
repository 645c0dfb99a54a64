package report

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/load/measure"
)

func sample() *Outcome {
	q := measure.Quantiles{Count: 100, Mean: 2e6, P50: 1.5e6, P90: 3e6, P99: 8e6, P999: 9e6, Max: 12e6}
	o := &Outcome{
		Format: Format, Scenario: "smoke", About: "a <b>bold</b> test", Source: "name: smoke # </pre><script>alert(1)</script>\n", Seed: 7,
		Began: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC), Load: 10,
		Environment: Environment{Machine: "2 CPUs", Targets: []string{"http://127.0.0.1:8080"}, Go: "go1.26", Command: "loadtest smoke"},
		Population:  Population{Users: 10, Devices: 12, Tenants: 1, Pairs: 90, Most: 9},
		Values: map[string]float64{
			"lost": 0, "delivered.rate": 1234, "published.rate": 50, "received.p50": 1.5e6, "received.p99": 8e6, "acked.p50": 1e6,
			"acked.p99": 5e6, "server.cpu_per_delivery": 9e3, "server.memory": 100 << 20, "denied": 3,
		},
		Verdicts: []Verdict{
			{Objective: "lost == 0", Measured: true, Held: true},
			{Objective: "received.p99 <= 5ms", Value: 8e6, Measured: true},
			{Objective: "resumed.p99 <= 5ms"},
		},
		Latencies: map[string]measure.Quantiles{"received": q, "acked": q},
		Bars:      map[string][]measure.Bar{"received": {{To: 1e6, Count: 10}, {To: 2e6, Count: 90}}},
		Codes:     map[string]int64{"publish_rate": 3}, Notes: []string{"careful"},
	}
	for i := range 12 {
		m := Moment{
			T: float64(i - 2), Seconds: 1, Phase: "load", Counts: map[string]int64{"delivered": int64(1000 * (i % 3)), "published": 50},
			Connected: 12, OwnCPU: 0.1,
		}
		if i != 5 {
			m.Latencies = map[string]measure.Quantiles{"received": q}
		}
		if i%2 == 0 {
			m.Server = &Server{CPU: 0.4, Memory: 1e8, Heap: 2e7}
		}
		o.Series = append(o.Series, m)
	}
	return o
}

// The page stands alone, and nothing of the test's own text is markup in it.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"1 of 3 objectives hold", "1234/s", "1.50 ms / 8 ms", "not measured", "publish_rate", "&lt;/pre&gt;&lt;script&gt;",
		"a &lt;b&gt;bold&lt;/b&gt; test", "careful", "default-src 'none'", "<svg", "2026-11-25 09:00:00 UTC",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, banned := range []string{"<script", "<link", "<img", "src=", "href=", "url(", "@import", "ZgotmplZ", "NaN", "Inf", "%!"} {
		if strings.Contains(page, banned) {
			t.Errorf("the page has %q", banned)
		}
	}
	if out := regexp.MustCompile(`https?://[^ <"]+`).FindAllString(page, -1); len(out) != 1 || out[0] != "http://127.0.0.1:8080" {
		t.Errorf("addresses in the page: %q", out)
	}
	// The curve is interrupted where nothing was measured.
	if paths := regexp.MustCompile(`<path d="(M[^"]*)"`).FindAllStringSubmatch(page, -1); len(paths) == 0 {
		t.Error("no curve")
	} else if n := strings.Count(page, "M"); n < 3 {
		t.Errorf("%d beginnings of curves", n)
	}
}

func TestEmptyOutcomeMakesAPage(t *testing.T) {
	var b bytes.Buffer
	if err := (&Outcome{Format: Format}).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
}

func TestJSONComesBackAsItWent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	var b bytes.Buffer
	want := sample()
	if err := want.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, text := range []string{"", "[]", `{"format":99}`, "{}", `{"format":1,"seed":"x"}`} {
		if _, err := parse(strings.NewReader(text)); !errors.Is(err, ErrOutcome) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCompare(t *testing.T) {
	a, b := sample(), sample()
	b.Seed = 8
	b.Values["received.p99"], b.Values["delivered.rate"], b.Values["acked.p50"], b.Values["lost"] = 4e6, 600, 1.05e6, 2
	delete(b.Values, "server.memory")
	got := map[string]string{}
	for _, d := range Compare(a, b) {
		got[d.Metric] = strings.TrimSpace(d.Change() + " " + d.Judgement())
	}
	for metric, want := range map[string]string{
		"received.p99": "-50 % better", "delivered.rate": "-51 % worse", "acked.p50": "+5 %", "lost": "worse", "server.memory": "", "denied": "+0 %",
	} {
		if g, ok := got[metric]; !ok || g != want {
			t.Errorf("%s: %q, want %q", metric, g, want)
		}
	}
	if notes := Unlike(a, b); len(notes) != 1 || !strings.Contains(notes[0], "seed differs: 7 and 8") {
		t.Errorf("unlike: %q", notes)
	}
	if notes := Unlike(a, a); len(notes) != 0 {
		t.Errorf("unlike itself: %q", notes)
	}
}

func TestScales(t *testing.T) {
	for v, want := range map[float64]float64{0.3: 0.5, 1: 1, 1.1: 2, 3: 5, 7: 10, 4200: 5000} {
		if got := niceStep(v); math.Abs(got-want) > want/1000 {
			t.Errorf("step for %g is %g, want %g", v, got, want)
		}
	}
	for ns, want := range map[float64]string{0: "0 ns", 900: "900 ns", 1500: "1.50 µs", 12e6: "12 ms", 1.25e9: "1.25 s", 999_999: "1.00 ms"} {
		if got := duration(ns); got != want {
			t.Errorf("%g ns is %q, want %q", ns, got, want)
		}
	}
}
