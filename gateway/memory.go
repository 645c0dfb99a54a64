package gateway

import (
	"time"

	"rollcall/wheel"
)

const (
	memoryEvery = time.Second
	// shedBytes is what an endpoint may go on holding when memory is scarce.
	shedBytes = 16 << 10
)

// memoryGuard gives up the largest queues before the process is killed for its
// memory: what is in them are states, and states can be asked for again.
type memoryGuard struct {
	node  *Node
	timer wheel.Timer
}

func (g *memoryGuard) start(n *Node) {
	g.node, g.timer.Target = n, g
	n.wheel.Schedule(&g.timer, n.now().Add(memoryEvery))
}

// Fire is called by the wheel.
func (g *memoryGuard) Fire(_ *wheel.Timer, now time.Time) {
	if g.node.Front.Doors.Scarce() {
		g.node.log.Warn("memory is scarce: large queues are dropped, their clients are given snapshots later")
		g.node.actors.Shed(shedBytes)
	}
	if !g.node.closing.Load() {
		g.node.wheel.Schedule(&g.timer, now.Add(memoryEvery))
	}
}
