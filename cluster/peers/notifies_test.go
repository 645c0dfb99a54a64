package peers

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/messages"
)

func update(publisher string, version uint64, endpoints ...uint32) *messages.Notify {
	return &messages.Notify{
		Publisher: &messages.User{Tenant: []byte("t"), Mri: publisher}, Version: version,
		State: []byte{byte(version)}, Endpoints: endpoints,
	}
}

// Whatever waits, each endpoint sees rising versions and ends with the newest
// that was queued for it.
func TestNotifiesKeepTheNewestPerEndpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q notifies
		type key struct {
			publisher string
			endpoint  uint32
		}
		newest, seen := map[key]uint64{}, map[key]uint64{}
		released := 0
		take := func(items int) {
			got, _ := q.take(nil, items, 1<<20)
			for _, n := range got {
				if n.Released {
					released--
					continue
				}
				for _, e := range n.Endpoints {
					k := key{n.Publisher.Mri, e}
					if n.Version < seen[k] {
						t.Fatalf("%v saw version %d after %d", k, n.Version, seen[k])
					}
					seen[k] = n.Version
				}
			}
		}
		version := uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				take(rapid.IntRange(1, 5).Draw(t, "items"))
				continue
			}
			version++
			n := update(rapid.SampledFrom([]string{"p", "q"}).Draw(t, "publisher"), version,
				rapid.SliceOfNDistinct(rapid.Uint32Range(1, 6), 1, 6, rapid.ID).Draw(t, "endpoints")...)
			if rapid.IntRange(0, 9).Draw(t, "released") == 0 {
				n.Released = true
				released++
			} else {
				for _, e := range n.Endpoints {
					newest[key{n.Publisher.Mri, e}] = version
				}
			}
			given := slices.Clone(n.Endpoints)
			shared := n.Endpoints
			if _, ok := q.add(n, 100+len(n.Endpoints), true); !ok {
				t.Fatal("refused")
			}
			if !slices.Equal(given, shared) {
				t.Fatal("a shared list of endpoints was changed")
			}
		}
		take(1000)
		for k, v := range newest {
			if seen[k] != v {
				t.Fatalf("%v ended with version %d instead of %d", k, seen[k], v)
			}
		}
		if q.count != 0 || q.bytes != 0 || len(q.items) != 0 || len(q.last) != 0 || released != 0 {
			t.Fatalf("left over: %d, %d bytes, %d places, %d publishers, %d released",
				q.count, q.bytes, len(q.items), len(q.last), released)
		}
	})
}

func TestNotifiesReplace(t *testing.T) {
	var q notifies
	for v := range uint64(1000) {
		if _, ok := q.add(update("p", v+1, 1, 2, 3), 100, q.count == 0); !ok {
			t.Fatal("a newer state of the same publisher was refused by a full queue")
		}
	}
	if _, ok := q.add(update("q", 1, 1), 100, false); ok {
		t.Error("a full queue took another publisher's state")
	}
	if q.count != 1 || q.bytes != 100 {
		t.Errorf("%d waiting, %d bytes", q.count, q.bytes)
	}
	got, size := q.take(nil, 10, 1000)
	if len(got) != 1 || got[0].Version != 1000 || size != 100 {
		t.Errorf("took %v, %d bytes", got, size)
	}
}

func TestNotifiesOfDifferentViewersStay(t *testing.T) {
	var q notifies
	q.add(update("p", 5, 1, 2), 10, true)
	q.add(update("p", 5, 3), 10, true)
	q.add(update("p", 6, 2), 10, true)
	got, _ := q.take(nil, 10, 1000)
	if len(got) != 3 || !slices.Equal(got[0].Endpoints, []uint32{1}) || got[0].Version != 5 {
		t.Errorf("%v", got)
	}
}
