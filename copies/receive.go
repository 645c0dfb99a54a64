package copies

import (
	"errors"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/replica"
)

// Bounds of one message, beyond those of what carries it.
const (
	maxReceived = 16 << 10 // deltas or acknowledgements
	maxEnds     = 64 << 10
)

// Receive takes a message of the member with an id; false if it is none of
// this package's. It never blocks.
func (c *Copies) Receive(from string, m proto.Message) bool {
	var err error
	switch m := m.(type) {
	case *messages.Deltas:
		err = c.onDeltas(from, m)
	case *messages.DeltasStored:
		err = c.onStored(from, m)
	case *messages.Fetched:
		err = c.onFetched(from, m)
	case *messages.Pull:
		err = c.onPull(from, m)
	case *messages.Page:
		c.onPage(from, m)
	default:
		var plain replica.Message
		if plain, err = fromWire(m); plain == nil && err == nil {
			return false
		}
		if err == nil {
			c.hear(from, plain)
		}
	}
	if err != nil {
		c.refuse(from, err)
	}
	return true
}

// refuse counts what another node should not have sent.
func (c *Copies) refuse(from string, err error) {
	if errors.Is(err, presence.ErrClockAhead) {
		c.metrics.ahead.Inc()
	} else {
		c.metrics.rubbish.Inc()
	}
	c.complaints.Say(from, "a message about copies was not taken", "err", err)
}

// hear gives messages of one member to the machine.
func (c *Copies) hear(from string, ms ...replica.Message) {
	name := c.view.Load().name(from)
	c.step(func(m *replica.Machine, now time.Time) {
		for _, msg := range ms {
			m.Receive(now, name, msg)
		}
	})
}

// onDeltas merges what is valid and refuses the rest.
func (c *Copies) onDeltas(from string, m *messages.Deltas) (bad error) {
	if len(m.Deltas) > maxReceived {
		return errRubbish
	}
	check := newChecker(c.cfg.Now())
	heard := make([]replica.Message, 0, len(m.Deltas))
	bytes := 0
	for _, b := range m.Deltas {
		var d messages.Delta
		if err := d.UnmarshalVT(b); err != nil {
			bad = errors.Join(errRubbish, err)
			continue
		}
		cm, err := check.commit(d.Copy)
		if err != nil {
			bad = err
			c.out.ack(from, d.Id, false)
			continue
		}
		bytes += len(b)
		heard = append(heard, replica.Delta{ID: d.Id, Shard: cm.User.Shard(), User: nameUser(cm.User), Data: &cm})
	}
	c.metrics.deltasReceived.Add(float64(len(heard)))
	c.metrics.bytesReceived.Add(float64(bytes))
	if len(heard) > 0 {
		c.hear(from, heard...)
	}
	return bad
}

func (c *Copies) onStored(from string, m *messages.DeltasStored) error {
	if len(m.Stored)+len(m.Refused) > maxReceived {
		return errRubbish
	}
	name := c.view.Load().name(from)
	c.step(func(machine *replica.Machine, now time.Time) {
		for _, id := range m.Stored {
			c.acked(machine, now, name, id, true)
		}
		for _, id := range m.Refused {
			c.acked(machine, now, name, id, false)
		}
	})
	c.metrics.acks.Add(float64(len(m.Stored)))
	c.metrics.deltasRefused.Add(float64(len(m.Refused)))
	return nil
}

// gathered is what another member has of a user that this node has asked for.
type gathered struct {
	commit persistence.Commit
	found  bool
}

func (c *Copies) onFetched(from string, m *messages.Fetched) error {
	if m.Copy == nil {
		c.hear(from, replica.Copy{ID: m.Id})
		return nil
	}
	cm, err := newChecker(c.cfg.Now()).commit(m.Copy)
	if err != nil {
		c.hear(from, replica.Copy{ID: m.Id})
		return err
	}
	found := len(cm.Elements) > 0 || cm.Version != 0
	c.hear(from, replica.Copy{ID: m.Id, OK: true, Data: &gathered{cm, found}})
	return nil
}

// has is what the one who pulls a shard has of it.
type has struct {
	users []byte
	ends  []persistence.FeedEnd
}

func (c *Copies) onPull(from string, m *messages.Pull) error {
	if m.Shard >= presence.Shards || len(m.Have)%haveBytes != 0 || len(m.Ends) > maxEnds {
		return errRubbish
	}
	p := replica.Pull{ID: m.Id, Table: m.Table, Shard: uint16(m.Shard)}
	if m.After != nil {
		u, err := user(m.After)
		if err != nil {
			return err
		}
		if u.Shard() != p.Shard {
			return errRubbish
		}
		p.After = u
	}
	h := &has{users: m.Have, ends: make([]persistence.FeedEnd, len(m.Ends))}
	for i, e := range m.Ends {
		h.ends[i] = persistence.FeedEnd{Origin: e.GetOrigin(), Seq: e.GetSeq()}
	}
	p.Have = h
	c.hear(from, p)
	return nil
}

// storeOf is the identity of the store of a member.
func storeOf(m replica.Member) (uint64, bool) {
	id := idOf(m)
	if id == "" || id[0] != 'n' {
		return 0, false
	}
	n, err := strconv.ParseUint(id[1:], 36, 64)
	return n, err == nil
}
