package copies

// Status is what the admin report says of the copies.
type Status struct {
	Durability int  `json:"durability"` // nodes that hold the least held of the shards that this node owns; 0: it owns none
	Unsettled  int  `json:"unsettled"`  // shards held here of which another node may know more
	Pulls      int  `json:"pulls"`      // shards that are being filled from another node
	Extra      int  `json:"extra"`      // shards kept here only until others have all of them
	Untold     int  `json:"untold"`     // shards of which another node is to be told that it may have missed something
	Commits    int  `json:"commits"`    // under way
	Gathers    int  `json:"gathers"`    // under way
	Writable   bool `json:"writable"`   // the store takes commits
}

// Status is made anew by each call: for a person or a scraper.
func (c *Copies) Status() Status {
	c.mu.Lock()
	m := c.machine.Status()
	s := Status{
		Unsettled: m.Unsettled, Pulls: m.Pulls, Extra: m.Surplus, Untold: m.Untold,
		Commits: len(c.commits), Gathers: len(c.gathers.byID),
	}
	c.mu.Unlock()
	s.Durability = c.view.Load().durability(c.cfg.Self.ID)
	s.Writable = c.cfg.Disk.Writable()
	return s
}
