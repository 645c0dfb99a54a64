package persistence

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/presence"
)

// benchUsers is how many users the large stores hold: ROLLCALL_BENCH_USERS, or
// few, so that every benchmark can run once in a check.
func benchUsers(b *testing.B) int {
	text := os.Getenv("ROLLCALL_BENCH_USERS")
	if text == "" {
		return 50_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("ROLLCALL_BENCH_USERS is %q, want a number of users", text)
	}
	return n
}

func cpu(b *testing.B) time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// fill says what to commit: so many commits over so many users.
type fill struct {
	commits, users, inFlight int
	announced                bool
}

func (f fill) run(b *testing.B, s *Store) {
	slots := make(chan struct{}, f.inFlight)
	var wg sync.WaitGroup
	for n := range f.commits {
		slots <- struct{}{}
		wg.Add(1)
		c := commitOf(user(contoso, n%f.users), presence.Version(n+1), presence.Busy)
		if !f.announced {
			c.Feed = nil
		}
		if n%10 == 0 {
			c.Wake = noon
		}
		s.Commit(c, func(err error) {
			if err != nil {
				b.Errorf("commit: %v", err)
			}
			<-slots
			wg.Done()
		})
	}
	wg.Wait()
}

// Every commit is a user's record and a feed entry, on the disk when counted.
func BenchmarkCommit(b *testing.B) {
	for _, inFlight := range []int{1, 64, 4096} {
		b.Run(fmt.Sprintf("in-flight=%d", inFlight), func(b *testing.B) {
			s := openStore(b, Config{Dir: b.TempDir(), Ballast: -1})
			b.ReportAllocs()
			began := cpu(b)
			b.ResetTimer()
			fill{commits: b.N, users: 100_000, inFlight: inFlight, announced: true}.run(b, s)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-us/commit")
		})
	}
}

func filledStore(b *testing.B) (Config, int) {
	b.Helper()
	cfg := Config{Dir: b.TempDir(), Ballast: -1, NoSync: true}
	s, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	users := benchUsers(b)
	fill{commits: users, users: users, inFlight: 4096}.run(b, s)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	cfg.NoSync = false
	return cfg, users
}

func BenchmarkLoadRandom(b *testing.B) {
	const inFlight = 256
	cfg, users := filledStore(b)
	s := openStore(b, cfg)
	slots := make(chan struct{}, inFlight)
	began := cpu(b)
	b.ResetTimer()
	for range b.N {
		slots <- struct{}{}
		s.Load(user(contoso, rand.IntN(users)), func(l Loaded, err error) {
			if err != nil || !l.Found {
				b.Errorf("load: found %t, %v", l.Found, err)
			}
			<-slots
		})
	}
	for range inFlight {
		slots <- struct{}{}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "loads/s")
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-us/load")
}

// BenchmarkColdOpen opens a store after a clean end: every table is verified.
func BenchmarkColdOpen(b *testing.B) {
	cfg, users := filledStore(b)
	onDisk := diskBytes(b, cfg.Dir)
	b.ResetTimer()
	var opening time.Duration
	for range b.N {
		began := time.Now()
		s, err := Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		opening += time.Since(began)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(opening.Seconds()*1000/float64(b.N), "ms/open")
	b.ReportMetric(float64(users), "users")
	b.ReportMetric(float64(onDisk)/float64(users), "disk-B/user")
}

// BenchmarkWakeups scans all users, a tenth of whom will change.
func BenchmarkWakeups(b *testing.B) {
	cfg, users := filledStore(b)
	s := openStore(b, cfg)
	b.ResetTimer()
	for range b.N {
		found := 0
		err := s.Wakeups(context.Background(), func(presence.UserID, time.Time) error { found++; return nil })
		if err != nil || found != (users+9)/10 {
			b.Fatalf("%d of %d users, %v", found, users, err)
		}
	}
	b.ReportMetric(float64(users)*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

// diskBytes counts allocated blocks: Badger's logs are sparse.
func diskBytes(b *testing.B, dir string) (total int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}
