package peers

import "time"

const (
	suspectAfter = 300 * time.Millisecond // without acknowledgement
	suspectFirst = cutFirst               // the same before the first one of a process: it may not know this member yet
	listenEvery  = 25 * time.Millisecond  // while something is not acknowledged
	stallAfter   = 100 * time.Millisecond // a look that comes later by this says that this process was stalled
)

// silence is what is made of a peer that acknowledges nothing. A suspicion ends
// with an acknowledgement; where there is nothing to acknowledge an envelope
// without messages asks for one.
type silence struct {
	suspected bool
	proven    bool      // the process has acknowledged something
	looked    time.Time // the last look; zero: there is nothing to acknowledge
	since     time.Time // silence before does not count: this process was stalled
}

// suspect is called with mu held.
func (o *outbox) suspect() {
	if !o.silence.suspected && o.peers.config.Suspect != nil {
		o.silence.suspected = true
		o.tally.suspicions++
		o.poke()
	}
}

// answers notes an acknowledgement. Called with mu held.
func (o *outbox) answers() {
	o.silence.proven = true
	if o.silence.suspected {
		o.silence.suspected = false
		o.poke()
	}
}

// listen measures the peer's silence and says whether there is news for the
// owner. Called with mu held.
func (o *outbox) listen(now time.Time) (news bool) {
	s := &o.silence
	switch {
	case s.suspected:
	case !o.lostAt():
		s.looked = time.Time{}
	default:
		if s.looked.IsZero() || now.Sub(s.looked) > listenEvery+stallAfter {
			s.since = now
		}
		s.looked = now
		patience := suspectAfter
		if !s.proven {
			patience = suspectFirst
		}
		from := o.stuck
		if s.since.After(from) {
			from = s.since
		}
		if now.Sub(from) >= patience {
			o.suspect()
		} else {
			o.arm(now.Add(listenEvery))
		}
	}
	return s.suspected != o.told
}

// tell passes on what has changed. Called with mu held, which it gives up.
func (o *outbox) tell() bool {
	o.told = o.silence.suspected
	o.silence.looked = time.Time{}
	told := o.told
	o.mu.Unlock()
	o.peers.config.Suspect(o.to.ID, told)
	return true
}

// probes says whether an envelope without messages is needed to hear from the
// peer: one that is new, or suspected. Called with mu held.
func (o *outbox) probes() bool {
	return len(o.flight) == 0 && (o.silence.suspected || !o.silence.proven)
}
