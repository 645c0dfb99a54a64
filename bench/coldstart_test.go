package bench

import (
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkColdStart is the time from starting the program on a directory of so
// many stored users to its readiness; the start-up sweep goes on behind it. The
// directory's files were just written, so the page cache is warm.
func BenchmarkColdStart(b *testing.B) {
	s := load(b)
	dir := filepath.Join(b.TempDir(), "data")
	seed(b, dir, s.users)
	i := newIssuer(b)
	if err := program(); err != nil { // built before the clock runs
		b.Fatal(err)
	}
	var took time.Duration
	var resident float64
	for range b.N {
		began := time.Now()
		n := openNode(b, &s, i, dir)
		took += n.ready(b).Sub(began)
		resident = n.resident(b)
		n.stop(b)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms-to-ready")
	b.ReportMetric(float64(s.users), "users")
	b.ReportMetric(resident/(1<<20), "rss-MiB")
}
