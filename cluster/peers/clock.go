package peers

// clock compares a peer's clock with this process's. How far apart the two are is
// not known, so an envelope is late by how much longer it took than the fastest
// one of the last 10 to 20 s in which there were any: clocks that drift apart, or
// stand still while a machine is suspended, are followed.
type clock struct {
	began       int64 // of the present period; 0: nothing has come yet
	least, last int64 // ms, arrival less sending: of the fastest in the present period, and in the one before
}

const clockPeriod = 10_000 // ms

// late is how many ms late an envelope is; 0 if its sender did not say when it
// was sent. Both times are ms since the start of a process, from 1.
func (c *clock) late(sent, now uint64) uint64 {
	if sent == 0 {
		return 0
	}
	took := int64(now - sent)
	switch {
	case c.began == 0:
		c.began, c.least, c.last = int64(now), took, took
	case int64(now)-c.began >= clockPeriod:
		c.began, c.least, c.last = int64(now), took, c.least
	case took < c.least:
		c.least = took
	}
	return uint64(took - min(took, c.least, c.last))
}
