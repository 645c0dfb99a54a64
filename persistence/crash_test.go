package persistence

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/presence"
)

const (
	crashDirEnv   = "ROLLCALL_CRASH_DIR"
	crashBaseEnv  = "ROLLCALL_CRASH_BASE"
	crashCycleEnv = "ROLLCALL_CRASH_CYCLE"
	crashRounds   = 20
	crashUsers    = 40
	crashWriters  = 16
)

var crashTenants = []presence.TenantID{{1}, {2}, {3}}

// crashConfig has small memtables, so that a kill also meets flushes and
// compactions.
func crashConfig(dir string) Config {
	cfg := Config{Dir: dir, Ballast: -1}
	cfg.faults.table = 4 << 20
	cfg.faults.statfs = func(string) (free, total uint64, err error) { return 1 << 40, 1 << 40, nil }
	return cfg
}

// crashChild is the process that gets killed: it publishes as fast as the
// disk lets it, and prints every commit that was acknowledged. It tells
// whether this process was meant to be one.
func crashChild() bool {
	dir := os.Getenv(crashDirEnv)
	if dir == "" {
		return false
	}
	var base presence.Version
	if _, err := fmt.Sscan(os.Getenv(crashBaseEnv), &base); err != nil {
		fmt.Println("failed", err)
		return true
	}
	if os.Getenv(crashCycleEnv) != "" {
		crashCycle(dir, base)
		return true
	}
	s, err := Open(crashConfig(dir))
	if err != nil {
		fmt.Println("failed", err)
		return true
	}
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() { crashWriter(s, w, base) })
	}
	wg.Wait()
	return true
}

func crashWriter(s *Store, w int, base presence.Version) {
	acked := make(chan error, 1)
	for n := presence.Version(1); ; n++ {
		tenant := int(n) % len(crashTenants)
		who := w + crashWriters*(int(n)/len(crashTenants)%(crashUsers/crashWriters+1)) // users of this writer alone
		c := commitOf(user(crashTenants[tenant], who), base+n, presence.Busy)
		note := presence.Note{Content: strings.Repeat("note ", 50)}
		c.Elements = append(c.Elements, presence.Element{Key: presence.NoteKey, Stamp: presence.Stamp{Version: c.Version}, Value: note})
		s.Commit(c, func(err error) { acked <- err })
		if err := <-acked; err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("acked", tenant, who, uint64(c.Version)) // one write call
	}
}

type crashKey struct{ tenant, who int }

// crash is one life of a child.
type crash struct {
	round int
	acked map[crashKey][]presence.Version // what all children acknowledged
	stop  func(child *os.Process) error   // ends it
}

// crashRound runs one child, stops it after some acknowledgements, and adds
// what it had acknowledged until then.
func crashRound(t *testing.T, dir string, c crash) {
	t.Helper()
	round, acked := c.round, c.acked
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), crashDirEnv+"="+dir, fmt.Sprintf("%s=%d", crashBaseEnv, (round+1)*1_000_000))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = child.Process.Kill() }) // shows as too few lines
	defer stuck.Stop()
	lines, until := 0, 200+round*137
	for in := bufio.NewScanner(out); in.Scan(); lines++ {
		var (
			key     crashKey
			version uint64
		)
		if _, err := fmt.Sscanf(in.Text(), "acked %d %d %d", &key.tenant, &key.who, &version); err != nil {
			t.Errorf("round %d: child said %q", round, in.Text())
			continue
		}
		acked[key] = append(acked[key], presence.Version(version))
		if lines == until {
			if err := c.stop(child.Process); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || lines < until {
		t.Fatalf("round %d: the child ended by itself after %d lines: %v", round, lines, err)
	}
}

func TestAcknowledgedCommitsSurviveSIGKILL(t *testing.T) {
	dir := t.TempDir()
	acked := map[crashKey][]presence.Version{}
	for round := range crashRounds {
		crashRound(t, dir, crash{round, acked, (*os.Process).Kill})
		if t.Failed() {
			return
		}
		if round%3 == 2 || round == crashRounds-1 { // else the next child meets what the crash left
			checkAfterCrash(t, dir, round, acked)
		}
	}
	total := 0
	for _, versions := range acked {
		total += len(versions)
	}
	t.Logf("%d acknowledged commits, %d kills", total, crashRounds)
}

func checkAfterCrash(t *testing.T, dir string, round int, acked map[crashKey][]presence.Version) {
	t.Helper()
	s, err := Open(crashConfig(dir))
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer closeStore(t, s)
	inFeed := map[presence.UserID][]presence.Version{}
	for _, tenant := range crashTenants {
		readFeed(t, s, tenant, inFeed)
	}
	for key, versions := range acked {
		u := user(crashTenants[key.tenant], key.who)
		feed := inFeed[u]
		stored := load(t, s, u)
		if len(feed) == 0 || feed[len(feed)-1] != stored.Version {
			t.Errorf("round %d: %s is stored with version %d, the feed disagrees", round, u, stored.Version)
		}
		at := 0
		for _, v := range versions {
			for at < len(feed) && feed[at] < v {
				at++
			}
			if at == len(feed) || feed[at] != v {
				t.Fatalf("round %d: acknowledged version %d of %s is not in the feed", round, v, u)
			}
		}
	}
}

// readFeed follows a feed from its start in pages; versions of each user must
// rise, so nothing stands in it twice.
func readFeed(t *testing.T, s *Store, tenant presence.TenantID, into map[presence.UserID][]presence.Version) {
	t.Helper()
	var at Token
	for {
		changes, next, err := s.Changes(tenant, at, 1000)
		if errors.Is(err, ErrResync) || err != nil {
			t.Fatalf("feed: %v", err)
		}
		for _, c := range changes {
			seen := into[c.User]
			if len(seen) > 0 && seen[len(seen)-1] >= c.Version {
				t.Fatalf("feed: version %d of %s after %d", c.Version, c.User, seen[len(seen)-1])
			}
			into[c.User] = append(seen, c.Version)
		}
		if len(changes) == 0 {
			if next != s.FeedEnd(tenant) {
				t.Errorf("feed ended before its end")
			}
			return
		}
		at = next
	}
}

// crashCycle opens, commits and closes without end, so that a kill at a random
// moment meets the making, opening and closing of a directory.
func crashCycle(dir string, base presence.Version) {
	for n := presence.Version(1); ; n++ {
		fmt.Println("opening")
		s, err := Open(crashConfig(dir))
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		acked := make(chan error, 1)
		s.Commit(commitOf(user(contoso, 1), base+n, presence.Busy), func(err error) { acked <- err })
		if err := <-acked; err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("acked 0 1", uint64(base+n))
		if err := s.Close(); err != nil {
			fmt.Println("failed", err)
			return
		}
	}
}

// cycleRound kills a cycling child some time after it began, and gives the
// newest version that it acknowledged.
func cycleRound(t *testing.T, dir string, round int, life time.Duration) (newest presence.Version) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), crashDirEnv+"="+dir, crashCycleEnv+"=1",
		fmt.Sprintf("%s=%d", crashBaseEnv, (round+1)*1_000_000))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	in.Scan()                                                         // it is opening
	kill := time.AfterFunc(life, func() { _ = child.Process.Kill() }) // an early end shows below
	defer kill.Stop()
	for in.Scan() {
		var version uint64
		if _, err := fmt.Sscanf(in.Text(), "acked 0 1 %d", &version); err == nil {
			newest = presence.Version(version)
		} else if in.Text() != "opening" {
			t.Errorf("round %d: child said %q", round, in.Text())
		}
	}
	if err := child.Wait(); err == nil {
		t.Errorf("round %d: the child ended by itself", round)
	}
	return newest
}

func TestKilledWhileOpeningOrClosingItOpensAgain(t *testing.T) {
	rounds := crashRounds
	if text := os.Getenv("ROLLCALL_CRASH_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	dir := t.TempDir()
	var newest presence.Version
	for round := range rounds {
		if round%5 == 0 { // also the very first steps
			dir, newest = t.TempDir(), 0
		}
		life := time.Duration(rand.IntN(60_000)) * time.Microsecond
		newest = max(newest, cycleRound(t, dir, round, life))
		s, err := Open(crashConfig(dir))
		if err != nil {
			t.Fatalf("round %d, killed after %v: %v", round, life, err)
		}
		if got := load(t, s, user(contoso, 1)); got.Version < newest {
			t.Fatalf("round %d: version %d, acknowledged was %d", round, got.Version, newest)
		}
		closeStore(t, s)
	}
}
