package front

import (
	"testing"
	"time"
)

func TestTableIsBounded(t *testing.T) {
	var tb table[int, int]
	tb.init()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for i := range 2 * tableShards * shardMax {
		tb.with(i, now.Add(time.Duration(i)), func(v *int) { *v = i })
	}
	n := 0
	for i := range tb.shards {
		n += len(tb.shards[i].m)
		if len(tb.shards[i].m) > shardMax {
			t.Fatalf("shard %d holds %d", i, len(tb.shards[i].m))
		}
	}
	if n < tableShards*shardMax*9/10 {
		t.Errorf("only %d are kept", n)
	}
}

func TestTableForgetsTheUnused(t *testing.T) {
	var tb table[int, int]
	tb.init()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	tb.with(1, now, func(v *int) { *v = 17 })
	tb.with(1, now.Add(time.Hour), func(v *int) {
		if *v != 17 {
			t.Errorf("the value was forgotten after an hour: %d", *v)
		}
	})
	later := now.Add(time.Hour + keepUnused + time.Second)
	for i := range 10 * tableShards { // a new entry in every shard
		tb.with(1000+i, later, func(*int) {})
	}
	tb.with(1, later, func(v *int) {
		if *v != 0 {
			t.Error("the unused entry is still there")
		}
	})
}
