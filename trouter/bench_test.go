package trouter_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"rollcall/trouter"
)

// BenchmarkCycle is the life of items from Put to Ack, n to a batch.
func BenchmarkCycle(b *testing.B) {
	for _, n := range []int{1, 8, 50} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			lim := trouter.DefaultLimits
			var q trouter.Queue[*int]
			value, version := new(int), uint64(0)
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				version++
				for p := range n {
					q.Put(trouter.Item[*int]{Publisher: uint32(p), Version: version, Size: 100, Value: value}, now, &lim)
				}
				batch, _ := q.Next(now, &lim)
				if _, err := q.Ack(batch.Seq, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/item")
			b.ReportMetric(float64(unsafe.Sizeof(q)), "B/idle-queue")
		})
	}
}

// BenchmarkPut replaces an item in a pending list of a given length, which a
// shut window has built up.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 8, 16, 32, 33, 50, 200, 1000} {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			lim := trouter.DefaultLimits
			var q trouter.Queue[*int]
			now := time.Now()
			order := rand.New(rand.NewPCG(1, 2)).Perm(n)
			for _, p := range order {
				q.Put(trouter.Item[*int]{Publisher: uint32(p) * 40, Version: 1, Size: 10}, now, &lim)
			}
			version := uint64(1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				version++
				it := trouter.Item[*int]{Publisher: uint32(order[i%n]) * 40, Version: version, Size: 10}
				if q.Put(it, now, &lim) != trouter.Replaced {
					b.Fatal("not replaced")
				}
			}
		})
	}
}

// BenchmarkPutOverEndpoints puts in turn to many endpoints with 50 pending each,
// so that the cache is cold, as under load.
func BenchmarkPutOverEndpoints(b *testing.B) {
	const endpoints, watches = 5000, 50
	lim := trouter.DefaultLimits
	queues := make([]trouter.Queue[*int], endpoints)
	now := time.Now()
	for e := range queues {
		for p := range uint32(watches) {
			queues[e].Put(trouter.Item[*int]{Publisher: p, Version: 1, Size: 100}, now, &lim)
		}
	}
	version := uint64(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		version++
		it := trouter.Item[*int]{Publisher: uint32(i / endpoints % watches), Version: version, Size: 100}
		queues[i*7919%endpoints].Put(it, now, &lim)
	}
}

func BenchmarkDeadline(b *testing.B) {
	lim := trouter.DefaultLimits
	var q trouter.Queue[*int]
	now := time.Now()
	for p := range uint32(4) {
		q.Put(trouter.Item[*int]{Publisher: p, Version: 1, Size: 100}, now, &lim)
		q.Next(now, &lim)
	}
	for b.Loop() {
		if _, ok := q.Deadline(&lim); !ok {
			b.Fatal("no deadline")
		}
	}
}

func BenchmarkReceiver(b *testing.B) {
	var r trouter.Receiver
	now := time.Now()
	names := make([]string, 50)
	for i := range names {
		names[i] = fmt.Sprintf("8:orgid:%036d", i)
	}
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		if !r.Batch(seq, now) {
			b.Fatal("known")
		}
		for _, n := range names {
			r.Apply(n, seq)
		}
		if _, owed := r.AckDue(); owed {
			r.Ack()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(names)), "ns/item")
}

// BenchmarkStuckEndpoint reports the heap of an endpoint that takes nothing, with
// one pending item for each of its watches; the values are shared by all.
func BenchmarkStuckEndpoint(b *testing.B) {
	for _, watches := range []uint32{50, 650} {
		b.Run(fmt.Sprintf("watches=%d", watches), func(b *testing.B) {
			const endpoints = 200
			lim := trouter.DefaultLimits
			now := time.Now()
			for b.Loop() {
				queues := make([]trouter.Queue[*int], endpoints)
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				for e := range queues {
					for p := range watches {
						queues[e].Put(trouter.Item[*int]{Publisher: p, Version: 1, Size: 90}, now, &lim)
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/endpoints, "B/endpoint")
				runtime.KeepAlive(queues)
			}
		})
	}
}
