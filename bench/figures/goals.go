package main

import (
	"fmt"
	"strings"
)

// goal is a figure that the project wants to reach on a machine of two cores.
type goal struct {
	what  string
	name  string // benchmark
	unit  string
	least bool    // the figure should be at least want, else at most
	want  float64 // 0: as many times the floor as times says; that 0 too: no goal, for comparison
	floor string  // benchmark of the floor, empty: none
	times float64
}

const (
	batched  = "Delivery/rollcall/inflight=1024"
	single   = "Delivery/rollcall/inflight=64"
	floor8   = "Delivery/floor-8-per-write/inflight=1024"
	floor1   = "Delivery/floor-1-per-write/inflight=64"
	perSec   = "deliveries/s"
	serverUs = "server-us/delivery"
)

var goals = []goal{
	{"acknowledged deliveries/s, 1,024 publishes in flight", batched, perSec, true, 150_000, floor8, 0},
	{"acknowledged deliveries/s, 64 publishes in flight", single, perSec, true, 40_000, floor1, 0},
	{"server CPU us per delivery at saturation, at most twice the floor", batched, serverUs, false, 0, floor8, 2},
	{"server CPU us per delivery, 64 in flight", single, serverUs, false, 0, floor1, 0},
	{"change to client at 20 % of saturation with 64 in flight, p50 ms", "Latency/load=20%/inflight=64", "received-p50-ms", false, 1, "", 0},
	{"the same, p99 ms", "Latency/load=20%/inflight=64", "received-p99-ms", false, 5, "", 0},
	{"change to client at 60 % of saturation with 64 in flight, p50 ms", "Latency/load=60%/inflight=64", "received-p50-ms", false, 5, "", 0},
	{"the same, p99 ms", "Latency/load=60%/inflight=64", "received-p99-ms", false, 30, "", 0},
	{"change to client at 20 % of saturation with 1,024 in flight, p50 ms", "Latency/load=20%/inflight=1024", "received-p50-ms", false, 1, "", 0},
	{"the same, p99 ms", "Latency/load=20%/inflight=1024", "received-p99-ms", false, 5, "", 0},
	{"change to client at 60 % of saturation with 1,024 in flight, p50 ms", "Latency/load=60%/inflight=1024", "received-p50-ms", false, 5, "", 0},
	{"the same, p99 ms", "Latency/load=60%/inflight=1024", "received-p99-ms", false, 30, "", 0},
	{"server CPU us per delivery at 200 publishes/s", "Latency/publishes=200", serverUs, false, 24, "LatencyFloor/publishes=200", 0},
	{"KiB of heap and stack per idle connection", "IdleMemorySettled/watched=0", "live-KiB/conn", false, 5, "", 0},
	{"the same with 50 watches", "IdleMemorySettled/watched=50", "live-KiB/conn", false, 8, "", 0},
	{"connect, watch 50, snapshot: connections/s", "Connect/token=unseen", "connections/s", true, 5000, "", 0},
	{"durable publishes/s", "PublishDurable/sockets/inflight=1024", "publishes/s", true, 50_000, "", 0},
	{"the same, p99 ms", "PublishDurable/sockets/inflight=1024", "p99-ms", false, 10, "", 0},
	{"cold start to ready, ms", "ColdStart", "ms-to-ready", false, 3000, "", 0},
	{"reconnect and resume, connections/s (18,000 in 15 s)", "Reconnect", "connections/s", true, 1200, "", 0},
}

// goals compares medians with what is wanted.
func (r *results) goals() string {
	var b strings.Builder
	b.WriteString("| figure | goal | median | reached | floor | times the floor |\n|---|---|---|---|---|---|\n")
	for _, g := range goals {
		r.compare(&b, g)
	}
	return b.String()
}

func (r *results) compare(b *strings.Builder, g goal) {
	got, ok := r.median(g.name, g.unit)
	if !ok {
		fmt.Fprintf(b, "| %s | | not measured | | | |\n", g.what)
		return
	}
	floor, beside := r.median(g.floor, g.unit)
	want, bottom, times := g.want, "", ""
	if beside {
		bottom, times = number(floor), number(got/floor)
		if want == 0 {
			want = g.times * floor
		}
	}
	sign, reached := "<=", got <= want
	if g.least {
		sign, reached = ">=", got >= want
	}
	answer := "no"
	if reached {
		answer = "yes"
	}
	if g.want == 0 && g.times == 0 {
		fmt.Fprintf(b, "| %s | none | %s | | %s | %s |\n", g.what, number(got), bottom, times)
		return
	}
	fmt.Fprintf(b, "| %s | %s %s | %s | %s | %s | %s |\n", g.what, sign, number(want), number(got), answer, bottom, times)
}
