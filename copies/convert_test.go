package copies

import (
	"reflect"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

func TestCommitsCrossTheWire(t *testing.T) {
	now := time.UnixMilli(time.Now().UnixMilli())
	u := userN(3)
	whole := note(u, "x")
	whole.Wake = now.Add(time.Hour)
	whole.Elements = append(whole.Elements, presence.Element{
		Key: presence.WatchKey("e"), Stamp: whole.Elements[0].Stamp, Value: presence.NewWatch(users(3)),
	}, presence.Element{Key: presence.BlockKey(userN(4)), Stamp: whole.Elements[0].Stamp})
	announced := whole
	announced.Feed = &persistence.FeedEntry{
		Origin: 5, Seq: 9, Prev: 7, At: now, User: u, State: whole.State, Version: whole.Version,
	}
	unnumbered := whole
	unnumbered.Feed = &persistence.FeedEntry{At: now, User: u, State: whole.State, Version: whole.Version}
	lists := persistence.Commit{User: u, Elements: whole.Elements[1:2]}
	for name, cm := range map[string]persistence.Commit{
		"whole": whole, "announced": announced, "unnumbered": unnumbered, "lists alone": lists,
	} {
		b, err := fromCommit(&cm).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		var m messages.UserCopy
		if err := m.UnmarshalVT(b); err != nil {
			t.Fatal(err)
		}
		back, err := newChecker(now).commit(&m)
		if err != nil || !reflect.DeepEqual(back, cm) {
			t.Errorf("%s: %+v, %v, want %+v", name, back, err, cm)
		}
	}
	marker := persistence.FeedEntry{Origin: 5, Seq: 9, At: now, Version: presence.Version(u.Shard())}
	for _, f := range []persistence.FeedEntry{*announced.Feed, marker} {
		if back, err := newChecker(now).feed(fromFeed(&f), u.Shard()); err != nil || back != f {
			t.Errorf("%+v, %v, want %+v", back, err, f)
		}
	}
	if _, err := newChecker(now).feed(fromFeed(&marker), u.Shard()+1); err == nil {
		t.Error("a marker of another shard was taken")
	}
}

func BenchmarkEncodeDelta(b *testing.B) {
	cm := commit{Commit: session(userN(1))}
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		cm.encoded = nil
		d, err := cm.delta(1 << 60)
		if err != nil {
			b.Fatal(err)
		}
		size = len(d)
	}
	b.ReportMetric(float64(size), "delta-B")
}

func BenchmarkDecodeDelta(b *testing.B) {
	cm := commit{Commit: session(userN(1))}
	encoded, err := cm.delta(1 << 60)
	if err != nil {
		b.Fatal(err)
	}
	check := newChecker(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		var d messages.Delta
		if err := d.UnmarshalVT(encoded); err != nil {
			b.Fatal(err)
		}
		if _, err := check.commit(d.Copy); err != nil {
			b.Fatal(err)
		}
	}
}
