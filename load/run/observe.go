package run

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"rollcall/load/measure"
	"rollcall/load/socket"
)

// target is where a device connects: in turn, and elsewhere after a failure.
func (r *Run) target(device int32, tries int) socket.Target {
	return r.cfg.Targets[(int(device)+tries)%len(r.cfg.Targets)]
}

func (r *Run) source(device int32) netip.Addr {
	if len(r.cfg.Sources) == 0 {
		return netip.Addr{}
	}
	// Devices of one target are len(Targets) apart.
	return r.cfg.Sources[int(device)/len(r.cfg.Targets)%len(r.cfg.Sources)]
}

// absent counts the devices that should be there and are not.
func (r *Run) absent() int {
	n := 0
	for _, c := range r.clients {
		c.mu.Lock()
		if c.stage != absent && c.stage != ready {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// lost counts the pairs of device and watched user of which the device does not
// have the newest version. A device that is not there has nothing; one that is
// slow on purpose is not asked.
func (r *Run) lost() int {
	newest := make([]uint64, r.cfg.People.Config.Users)
	for u := range newest {
		newest[u] = r.ledger.Newest(int32(u))
	}
	n := 0
	for _, c := range r.clients {
		c.mu.Lock()
		for i, u := range c.list {
			if c.slow == prompt && c.stage != absent && (c.stage != ready || c.have[i] < newest[u]) {
				n++
			}
		}
		c.mu.Unlock()
	}
	return n
}

// looks is how many pairs are looked at each second for how far behind they are.
const looks = 500

// observe measures staleness: it asks devices at random what they have.
func (r *Run) observe(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if Phase(r.phase.Load()) != Load {
			continue
		}
		for range looks / 10 {
			r.look(r.clients[rand.IntN(len(r.clients))]) // a sample, no part of the plan
		}
	}
}

func (r *Run) look(c *client) {
	c.mu.Lock()
	if c.stage != ready || c.slow != prompt || len(c.list) == 0 {
		c.mu.Unlock()
		return
	}
	i := rand.IntN(len(c.list))
	u, has, since := c.list[i], c.have[i], c.since
	c.mu.Unlock()
	r.recorder.Record(measure.Staleness, 0, r.ledger.Behind(u, has, since, time.Now()))
}
