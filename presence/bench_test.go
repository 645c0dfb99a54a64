package presence

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

func benchRecord(sessions int, more ...Mutation) *Record {
	var r Record
	ms := more
	for i := range sessions {
		ms = append(ms, Mutation{Op: Put, Key: SessionKey(fmt.Sprintf("%s%02d", guid[:34], i)), Expires: at(hour),
			Value: Session{Availability: Available, Activity: ActAvailable, Device: Desktop, Leased: true}})
	}
	if _, err := r.Apply(ms, stamped(0), t0); err != nil {
		panic(err)
	}
	return &r
}

func BenchmarkAggregate(b *testing.B) {
	var meetings Calendar
	for i := range 20 {
		start := at(time.Duration(i) * hour)
		meetings.Entries = append(meetings.Entries, Entry{Meeting, start, start + 1_800_000, ""})
	}
	for name, r := range map[string]*Record{
		"one session": benchRecord(1),
		"usual": benchRecord(3, Mutation{Op: Put, Key: CalendarKey, Value: meetings},
			Mutation{Op: Put, Key: NoteKey, Value: Note{Content: "x"}},
			Mutation{Op: Put, Key: LocationKey(Scheduled), Value: Location{Type: LocationOffice}}),
		"20 sessions": benchRecord(20),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Aggregate(r, t0, DefaultRules)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	pa, pb := DefaultPolicy(tenantA), DefaultPolicy(tenantB)
	pa.Federation, pb.Federation = AllowList, AllowList
	pa.List, pb.List = []TenantID{tenantB}, []TenantID{tenantA}
	for i := range MaxFederation - 1 {
		pa.List = append(pa.List, TenantID{2: byte(i), 3: byte(i >> 8), 15: 7})
		pb.List = append(pb.List, TenantID{2: byte(i), 3: byte(i >> 8), 15: 9})
	}
	ta, tb := Compile(&pa), Compile(&pb)
	for name, viewer := range map[string]UserID{"colleague": adam, "other tenant, lists of 1000": bob} {
		vt := ta
		if viewer == bob {
			vt = tb
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if Decide(viewer, alice, vt, ta, false) != Full {
					b.Fatal("not allowed")
				}
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	r := benchRecord(5)
	e, _ := r.Get(SessionKey(guid[:34] + "03"))
	b.Run("newer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Stamp.Version++
			if !r.Merge(e) {
				b.Fatal("not taken")
			}
		}
	})
	b.Run("older", func(b *testing.B) {
		b.ReportAllocs()
		old := e
		old.Stamp.Version = 0
		for b.Loop() {
			if r.Merge(old) {
				b.Fatal("taken")
			}
		}
	})
}

func BenchmarkApplyTouch(b *testing.B) {
	r := benchRecord(3)
	ms := []Mutation{{Op: Touch, Key: SessionKey(guid[:34] + "01")}}
	now := t0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		if now.UnixMilli() >= at(hour) {
			now = t0
		}
		if _, err := r.Apply(ms, stamped(hour), now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkShard(b *testing.B) {
	for b.Loop() {
		alice.Shard()
	}
}

// BenchmarkRecordMemory measures heap bytes per record that holds one session.
func BenchmarkRecordMemory(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		records := make([]Record, n)
		for i := range records {
			records[i] = *benchRecord(1)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/record")
		runtime.KeepAlive(records)
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	r := benchRecord(3)
	p := DefaultPolicy(tenantA)
	trust := Compile(&p)
	e := r.Elements()[1]
	for name, f := range map[string]func(){
		"Aggregate": func() { Aggregate(r, t0, DefaultRules) },
		"Decide":    func() { Decide(adam, alice, trust, trust, true) },
		"Merge":     func() { e.Stamp.Version++; r.Merge(e) },
		"Shard":     func() { alice.Shard() },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s allocates %v times", name, got)
		}
	}
}
