package persistence

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/presence"
)

// rich is everything that can be stored of a user, as of now.
func rich(u presence.UserID, now time.Time) Commit {
	v := presence.Version(now.UnixMilli()) << 16
	add := func(k presence.Key, expires time.Time, value presence.Value) presence.Element {
		v++
		e := presence.Element{Key: k, Stamp: presence.Stamp{Version: v, Node: 7}, Value: value}
		if !expires.IsZero() {
			e.Expires = expires.UnixMilli()
		}
		return e
	}
	soon := now.Add(time.Hour)
	c := Commit{User: u, Wake: soon.Truncate(time.Millisecond), Elements: []presence.Element{
		add(presence.SessionKey("desk"), soon, presence.Session{
			Availability: presence.Busy, Activity: presence.ActInACall, Device: presence.Desktop, Leased: true, LastActive: now.UnixMilli(),
		}),
		add(presence.SessionKey("gone"), soon, nil),
		add(presence.PreferredKey, soon, presence.Preferred{Availability: presence.DoNotDisturb, Activity: presence.ActDoNotDisturb}),
		add(presence.NoteKey, time.Time{}, presence.Note{Content: "back at 3", Pinned: true, Published: now.UnixMilli()}),
		add(presence.BlockKey(user(contoso, 900)), time.Time{}, presence.Block{}),
		add(presence.BlockKey(user(contoso, 901)), time.Time{}, nil),
		add(presence.WatchKey("phone"), soon, presence.NewWatch([]presence.UserID{user(contoso, 1), user(contoso, 2)})),
		add(presence.WatchKey("old"), soon, nil),
	}}
	c.State = presence.State{Availability: presence.DoNotDisturb, Activity: presence.ActDoNotDisturb, Device: presence.Desktop}
	c.Version = v
	return c
}

// absorbed fills a store at one stroke.
func absorbed(t testing.TB, s *Store, cs ...Commit) {
	t.Helper()
	if err := await(t, func(done func(error)) {
		s.Absorb(cs, nil, func(_ []bool, err error) { done(err) })
	}); err != nil {
		t.Fatal(err)
	}
}

// richUsers are so many of one tenant.
func richUsers(n int, now time.Time) (cs []Commit) {
	for i := range n {
		cs = append(cs, rich(user(contoso, i), now))
	}
	return cs
}

func storedPolicy(t testing.TB, s *Store, tenant presence.TenantID, v presence.Version, idle time.Duration) presence.Policy {
	t.Helper()
	p := presence.DefaultPolicy(tenant)
	p.Version, p.Rules.IdleAfter = v, idle
	if err := await(t, func(done func(error)) { s.CommitPolicy(p, done) }); err != nil {
		t.Fatal(err)
	}
	return p
}

// backedUp is what a store writes as a part of a backup.
func backedUp(t testing.TB, s *Store, h BackupHead) []byte {
	t.Helper()
	var b bytes.Buffer
	count, err := s.Backup(t.Context(), &b, h, nil)
	if err != nil || count.Bytes != int64(b.Len()) {
		t.Fatalf("%+v for %d bytes: %v", count, b.Len(), err)
	}
	return b.Bytes()
}

// only is the head of a backup of one node.
var only = BackupHead{Cluster: "berlin", Part: 1, Of: 1}

func file(t testing.TB, content ...[]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(name, bytes.Join(content, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func copyIn(t testing.TB, s *Store, u presence.UserID) Commit {
	t.Helper()
	c, found, err := s.Copy(u)
	if err != nil || !found {
		t.Fatalf("copy of %s: %v, found %v", u, err, found)
	}
	slices.SortFunc(c.Elements, func(a, b presence.Element) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	return c
}

func TestBackupRestoresEverything(t *testing.T) {
	s := openStore(t, testConfig(t))
	now := time.Now()
	var users []presence.UserID
	var all []Commit
	for n := range 300 {
		u := user(presence.TenantID{byte(1 + n%3)}, n)
		users = append(users, u)
		all = append(all, rich(u, now))
	}
	lists := user(contoso, 5000) // somebody who has only lists
	users = append(users, lists)
	absorbed(t, s, append(all, Commit{User: lists, Elements: rich(lists, now).Elements[6:]})...)
	policy := storedPolicy(t, s, contoso, 3, time.Minute)

	dir := filepath.Join(t.TempDir(), "new", "data")
	var stages []string
	report, err := Restore(t.Context(), RestoreConfig{
		Dir: dir, Files: []string{file(t, backedUp(t, s, only))}, Cluster: "berlin", Store: Config{Ballast: -1},
		Progress: func(p RestoreProgress) { stages = append(stages, p.Stage) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Users != len(users) || report.Policies != 1 || report.Node == s.Node() || report.Node == 0 ||
		len(report.Parts) != 1 || report.Parts[0].Node != s.Node() || report.Check.Wrong() {
		t.Errorf("report %+v", report)
	}
	if want := []string{"reading", "storing", "comparing", "checking digests", "verifying files"}; !slices.Equal(slices.Compact(stages), want) {
		t.Errorf("stages %q, want %q", slices.Compact(stages), want)
	}
	cfg := testConfig(t)
	cfg.Dir = dir
	restored := openStore(t, cfg)
	if restored.Node() != report.Node {
		t.Errorf("node %x, reported was %x", restored.Node(), report.Node)
	}
	for _, u := range users {
		if diff := cmp.Diff(copyIn(t, s, u), copyIn(t, restored, u)); diff != "" {
			t.Fatalf("%s (-backed up +restored):\n%s", u, diff)
		}
	}
	if got, err := restored.Policies(); err != nil || len(got) != 1 || !cmp.Equal(got[0], policy) {
		t.Errorf("policies %+v (%v), want %+v", got, err, policy)
	}
}

// gate is a reader of a backup who waits after the first bytes.
type gate struct {
	bytes.Buffer
	begun, open chan struct{}
}

func (g *gate) Write(b []byte) (int, error) {
	if g.Len() == 0 {
		close(g.begun)
		<-g.open
	}
	return g.Buffer.Write(b)
}

func TestBackupIsOfOneMoment(t *testing.T) {
	s := openStore(t, testConfig(t))
	now := time.Now()
	absorbed(t, s, richUsers(400, now)...) // more than one buffer, so that the gate is reached on the way
	g := &gate{begun: make(chan struct{}), open: make(chan struct{})}
	failed := make(chan error, 1)
	go func() {
		_, err := s.Backup(context.Background(), g, only, nil)
		failed <- err
	}()
	<-g.begun
	absorbed(t, s, richUsers(500, now.Add(time.Second))...) // commits are not held up
	close(g.open)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	r := NewBackupReader(&g.Buffer)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		c, _, bad := rec.User()
		if err != nil || bad != nil {
			t.Fatal(err, bad)
		}
		if c.Version > rich(c.User, now).Version {
			t.Fatalf("%s has a version from after the beginning", c.User)
		}
	}
	if n := r.Count().Users; n != 400 {
		t.Errorf("%d users, want the 400 of the beginning", n)
	}
}

func TestBackupEndsWithItsReader(t *testing.T) {
	s := openStore(t, testConfig(t))
	absorbed(t, s, richUsers(400, time.Now())...)
	r, w := io.Pipe()
	_ = r.CloseWithError(errors.New("the reader is gone"))
	if _, err := s.Backup(t.Context(), w, only, nil); err == nil || !errors.Is(err, errBackup) {
		t.Errorf("a reader that is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backup(ctx, io.Discard, only, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: %v", err)
	}
	if !s.Writable() {
		t.Error("the store failed with its backup")
	}
	for _, h := range []BackupHead{{}, {Part: 2, Of: 1}, {Part: 1, Of: 1001}, {Part: 1, Of: 1, Cluster: "a b"}} {
		if _, err := s.Backup(t.Context(), io.Discard, h, nil); err == nil {
			t.Errorf("a backup with the head %+v", h)
		}
	}
}

func TestAUserWithVeryMuchIsSeveralRecords(t *testing.T) {
	s := openStore(t, testConfig(t))
	u, now := user(contoso, 1), time.Now()
	c := rich(u, now)
	var targets []presence.UserID
	for n := range 650 {
		targets = append(targets, user(contoso, n))
	}
	for n := range 20 {
		c.Elements = append(c.Elements, presence.Element{
			Key: presence.WatchKey(string(rune('a' + n))), Stamp: presence.Stamp{Version: c.Version, Node: 7},
			Expires: now.Add(time.Hour).UnixMilli(), Value: presence.NewWatch(targets),
		})
	}
	absorbed(t, s, c)
	b := backedUp(t, s, only)
	r := NewBackupReader(bytes.NewReader(b))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err == nil; {
		_, err = r.Read()
	}
	if n := r.Count(); n.Users != 1 || n.Records < 4 {
		t.Errorf("%+v for a copy of %d bytes", n, len(b))
	}
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(t.Context(), RestoreConfig{Dir: dir, Files: []string{file(t, b)}, Store: Config{Ballast: -1}}); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.Dir = dir
	if diff := cmp.Diff(copyIn(t, s, u), copyIn(t, openStore(t, cfg), u)); diff != "" {
		t.Errorf("(-backed up +restored):\n%s", diff)
	}
}
