package actors

import (
	"time"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// foreignCommit is what another node has committed of this user, or what was
// found at one: it is stored here already.
type foreignCommit struct{ commit persistence.Commit }

// merged takes what another node has said of a user into the live activation, if
// there is one. It is called by the copies and does not block.
func (s *System) merged(c persistence.Commit) {
	s.node.PostActive(cluster.User(c.User), foreignCommit{c})
}

// onForeign brings the record up to what is stored. Where the other owner has
// announced what follows from it, its word is taken over, version and all;
// where it cannot have known everything, settle announces the sum.
func (u *user) onForeign(c persistence.Commit) {
	now := u.sys.now()
	alive := u.aliveSessions(nil, nil, now)
	blocked := false
	for _, e := range c.Elements {
		kind, _ := e.Key.Split()
		if kind == presence.KindWatch {
			continue // lists are read when they are needed
		}
		news := u.learn(graced(e, now), now)
		blocked = blocked || news && kind == presence.KindBlock
	}
	if revived := u.revive(alive, now); len(revived) > 0 {
		u.commit(&flight{elements: revived})
	}
	if c.Version != 0 {
		u.advance(c.Version, now)
		u.follow(c, now)
	}
	if blocked {
		u.recheck()
	}
	u.settle(now)
}

// graced gives a session of another owner the time in which its client renews it
// here: renewals are not stored.
func graced(e presence.Element, now time.Time) presence.Element {
	until := now.Add(LeaseTime).UnixMilli()
	if s, ok := e.Value.(presence.Session); ok && s.Leased && e.Expires != 0 && e.Expires < until {
		e.Expires = until
	}
	return e
}

// follow takes over a newer announcement of another owner if it says the same as
// the record does here.
func (u *user) follow(c persistence.Commit, now time.Time) {
	if c.Version <= u.version {
		return
	}
	if u.flight != nil {
		if c.Version > u.flight.version {
			u.commit(&flight{force: true}) // what is announced last must be the newest
		}
		return
	}
	state, _ := presence.Aggregate(&u.record, now, u.rules().Rules)
	if state.Visible(c.State) {
		return // settle says what both have said
	}
	u.state, u.version = c.State, c.Version
	u.announce(0)
}

// A process that was stopped for a while may have been replaced: others stood in
// for it. Before a user of it says anything again, it asks what they know.

// refresh begins to read the user again, if the process has been stopped since it
// was read last.
func (u *user) refresh() {
	stalls := u.sys.stalls.count()
	if u.stalls == stalls {
		return
	}
	u.stalls = stalls
	if u.loading == nil {
		u.load(loading{refresh: true})
	}
}

// refreshed merges what the store, and other nodes, have into what is known.
func (u *user) refreshed(l persistence.Loaded, now time.Time) {
	u.record.GraceLeases(now.Add(LeaseTime).UnixMilli())
	if l.Found {
		u.onForeign(persistence.Commit{
			User: u.id, Elements: l.Record.Elements(), State: l.State, Version: l.Version,
		})
	}
}

// awaitsRefresh is false for what ends something that is under way.
func awaitsRefresh(msg any) bool {
	switch msg.(type) {
	case committed, foreignCommit, watchLoaded, watchCommitted, cluster.Idle, *messages.Unregister:
		return false
	}
	return true
}
