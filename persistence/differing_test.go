package persistence

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"rollcall/presence"
)

// pull brings to one store what another one has of a shard, page by page, and
// returns the number of pages and copies.
func pull(t testing.TB, to, from *Store, shard uint16, maxBytes int) (pages, copies int) {
	t.Helper()
	root(t, from, shard)
	var after presence.UserID
	for {
		have, err := to.Have(shard)
		if err != nil {
			t.Fatal(err)
		}
		p, err := from.Differing(shard, have, after, to.FeedEnds(shard), maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Copies {
			if u := p.Copies[i].User; u.Compare(after) <= 0 && after != (presence.UserID{}) {
				t.Fatalf("%s comes after %s", u, after)
			}
		}
		absorb(t, to, p.Copies, p.Feed...)
		pages, copies = pages+1, copies+len(p.Copies)
		if !p.More {
			return pages, copies
		}
		if pages > 10_000 {
			t.Fatal("no end of pages")
		}
		after = p.Next
	}
}

// Two stores that know different things are equal after each has pulled from
// the other, and then there is nothing more to pull.
func TestPullingMakesStoresEqual(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 3))
		a, b := atNoon(t), atNoon(t)
		for range 150 {
			c := randomCommit(r, 30)
			for n, s := range []*Store{a, b} {
				if r.IntN(3) > n { // some only here, some only there, some at both
					absorb(t, s, []Commit{c})
				}
			}
			own := randomCommit(r, 30)
			own.Feed = &FeedEntry{}
			commit(t, []*Store{a, b}[r.IntN(2)], own)
		}
		maxBytes := []int{0, 300, 2000, 1 << 20}[seed%4]
		for u := range 30 {
			shard := user(contoso, u).Shard()
			pull(t, a, b, shard, maxBytes)
			pull(t, b, a, shard, maxBytes)
			if pages, copies := pull(t, a, b, shard, maxBytes); pages != 1 || copies > 0 {
				t.Errorf("seed %d: %d pages with %d copies of equal shards", seed, pages, copies)
			}
		}
		if x, y := allRoots(t, a), allRoots(t, b); len(x) == 0 || !equalRoots(x, y) {
			t.Errorf("seed %d: roots %x and %x", seed, x, y)
		}
	}
}

func equalRoots(a, b map[uint16]uint64) bool {
	for shard := range a {
		if a[shard] != b[shard] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestPagesHoldAboutWhatIsAsked(t *testing.T) {
	s, empty := atNoon(t), atNoon(t)
	shard, users := crowd(100)
	var cs []Commit
	for _, u := range users {
		c := commitOf(u, versionAt(noon), presence.Busy)
		c.Feed = nil
		cs = append(cs, c)
	}
	absorb(t, s, cs)
	one := root(t, s, shard)
	for maxBytes, want := range map[int]int{-1: 100, 1: 100, 1 << 20: 1} {
		var after presence.UserID
		var got []presence.UserID
		pages := 0
		for more := true; more; pages++ {
			p, err := s.Differing(shard, nil, after, nil, maxBytes)
			if err != nil || p.Root != one {
				t.Fatalf("root %x, %v", p.Root, err)
			}
			for _, c := range p.Copies {
				got = append(got, c.User)
			}
			after, more = p.Next, p.More
		}
		if pages != want {
			t.Errorf("%d pages of %d bytes, want %d", pages, maxBytes, want)
		}
		slices.SortFunc(users, presence.UserID.Compare)
		if !slices.Equal(got, users) {
			t.Errorf("the pages bring %d users, want all in order", len(got))
		}
	}
	root(t, empty, shard)
	if p, err := empty.Differing(shard, nil, presence.UserID{}, nil, 1); err != nil || len(p.Copies) > 0 || p.More || p.Root != 0 {
		t.Errorf("of an empty shard: %+v, %v", p, err)
	}
}

// What another node says it has only decides what it is sent.
func TestRubbishInHaveIsHarmless(t *testing.T) {
	s := atNoon(t)
	alice := user(contoso, 1)
	announce(t, s, alice, versionAt(noon), versionAt(noon))
	shard := alice.Shard()
	root(t, s, shard)
	good, err := s.Have(shard)
	if err != nil || len(good) != haveSize {
		t.Fatalf("%d bytes, %v", len(good), err)
	}
	wrong := slices.Clone(good)
	wrong[15] ^= 1
	r := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 1000*haveSize)
	for i := 0; i < len(noise); i += 8 {
		binary.BigEndian.PutUint64(noise[i:], r.Uint64())
	}
	for name, tt := range map[string]struct {
		have []byte
		want int
	}{
		"right": {good, 0}, "twice": {slices.Concat(good, good), 0}, "another digest": {wrong, 1}, "noise": {noise, 1},
		"right in noise": {slices.Concat(noise, good), 0}, "nothing": {nil, 1},
	} {
		p, err := s.Differing(shard, tt.have, presence.UserID{}, s.FeedEnds(shard), 1000)
		if err != nil || len(p.Copies) != tt.want {
			t.Errorf("%s: %d copies, %v", name, len(p.Copies), err)
		}
	}
	for _, n := range []int{1, 15, 17} {
		if _, err := s.Differing(shard, noise[:n], presence.UserID{}, nil, 1000); !errors.Is(err, presence.ErrValue) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := s.Have(presence.Shards); !errors.Is(err, presence.ErrValue) {
		t.Errorf("a shard that is none: %v", err)
	}
	if _, err := s.Differing(presence.Shards, nil, presence.UserID{}, nil, 1); err == nil {
		t.Error("a shard that is none differs")
	}
	strange := presence.UserID{Tenant: contoso, MRI: "\x00\xff"}
	if _, err := s.Differing(shard, nil, strange, []FeedEnd{{1, 2}, {1, 1}, {}}, 1000); err != nil {
		t.Errorf("after a strange user: %v", err)
	}
}

// Nothing that is over is handed to and fro.
func TestWhatIsLongOverIsNotTaken(t *testing.T) {
	a, b := atNoon(t), atNoon(t)
	alice := user(contoso, 1)
	over := presence.Element{Key: presence.CallKey("1"), Stamp: presence.Stamp{Version: 5}, Expires: 7, Value: presence.Call{Parties: 2}}
	list := watchOf("e", 5, noon.Add(-70*60e9), alice)
	if absorb(t, a, []Commit{{User: alice, Elements: []presence.Element{over, list}}})[0] || len(contentsOf(t, a)) > 0 {
		t.Errorf("taken: %v", contentsOf(t, a))
	}
	// What replaces something living is: the living one must go.
	lives := over
	lives.Stamp.Version, lives.Expires = 4, 0
	commit(t, b, Commit{User: alice, Elements: []presence.Element{lives}, Version: 1})
	if !absorb(t, b, []Commit{{User: alice, Elements: []presence.Element{over}}})[0] {
		t.Error("the end of a call that was thought to go on brings nothing new")
	}
	if c, _, err := b.Copy(alice); err != nil || len(c.Elements) != 0 {
		t.Errorf("%d elements are left, %v", len(c.Elements), err)
	}
	wantRoots(t, b)
}
