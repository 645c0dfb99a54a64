package copies

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/replica"
)

const (
	haveBytes  = 16        // per user in a Pull
	pageBytes  = 256 << 10 // of a page, about
	pieceBytes = 1 << 20   // of one user in one message
	pageStep   = 64        // users of a page that are merged in one go
)

// send queues a message of the machine that is not a delta.
func (c *Copies) send(o *replica.Send) {
	switch m := o.Message.(type) {
	case replica.Delta:
	case replica.Ack:
		c.out.ack(idOf(o.To), m.ID, m.OK)
	case replica.Pull:
		c.pull(o.To, m)
	default:
		if w := toWire(m); w != nil {
			c.tell(o.To, w)
		}
	}
}

func (c *Copies) tell(to replica.Member, ms ...proto.Message) {
	if !c.out.other(idOf(to), ms...) {
		c.metrics.unsent.Inc()
	}
}

// pull asks for a page, with what this node has by then.
func (c *Copies) pull(to replica.Member, p replica.Pull) {
	failed := func() {
		c.step(func(m *replica.Machine, now time.Time) {
			m.Receive(now, to, replica.Page{ID: p.ID, Shard: p.Shard})
		})
	}
	if !c.reads.later(func() {
		have, err := c.cfg.Disk.Have(p.Shard)
		if err != nil {
			c.cfg.Log.Error("a shard could not be read", "shard", p.Shard, "err", err)
			failed()
			return
		}
		m := &messages.Pull{Id: p.ID, Table: p.Table, Shard: uint32(p.Shard), Have: have}
		if after, ok := p.After.(presence.UserID); ok && after != (presence.UserID{}) {
			m.After = messages.FromUser(after)
		}
		for _, e := range c.cfg.Disk.FeedEnds(p.Shard) {
			m.Ends = append(m.Ends, &messages.FeedEnd{Origin: e.Origin, Seq: e.Seq})
		}
		c.metrics.pulls.Inc()
		c.tell(to, m)
	}) {
		failed()
	}
}

// servePull reads a page for another member.
func (c *Copies) servePull(o replica.ServePull) {
	p := o.Pull
	failed := &messages.Page{Id: p.ID, Shard: uint32(p.Shard), Failed: true}
	h, ok := p.Have.(*has)
	if !ok || !c.reads.later(func() {
		after, _ := p.After.(presence.UserID)
		part, err := c.cfg.Disk.Differing(p.Shard, h.users, after, h.ends, pageBytes)
		if err != nil {
			if !errors.Is(err, persistence.ErrUnread) {
				c.cfg.Log.Error("a shard could not be read for another node", "shard", p.Shard, "err", err)
			}
			c.tell(o.To, failed)
			return
		}
		c.tell(o.To, fromPart(&p, &part)...)
	}) {
		c.tell(o.To, failed)
	}
}

// fromPart is a page, behind the first pieces of users that are too large for
// it.
func fromPart(p *replica.Pull, part *persistence.Part) (ms []proto.Message) {
	m := &messages.Page{Id: p.ID, Shard: uint32(p.Shard), Root: part.Root, More: part.More}
	for i := range part.Copies {
		before, last := pieces(fromCommit(&part.Copies[i]))
		ms = append(ms, before...)
		m.Copies = append(m.Copies, last)
	}
	for i := range part.Feed {
		m.Feed = append(m.Feed, fromFeed(&part.Feed[i]))
	}
	if part.More && part.Next != (presence.UserID{}) {
		m.Next = messages.FromUser(part.Next)
	}
	return append(ms, m)
}

// serveFetch reads a user for another member.
func (c *Copies) serveFetch(o replica.ServeFetch) {
	u := userOf(o.User)
	failed := &messages.Fetched{Id: o.ID}
	if !c.reads.soon(func() {
		cm, found, err := c.cfg.Disk.Copy(u)
		if err != nil {
			c.cfg.Log.Error("a user could not be read for another node", "user", u, "err", err)
			c.tell(o.To, failed)
			return
		}
		if !found {
			cm = persistence.Commit{User: u}
		}
		before, last := pieces(fromCommit(&cm))
		c.tell(o.To, append(before, &messages.Fetched{Id: o.ID, Copy: last})...)
	}) {
		c.tell(o.To, failed)
	}
}

// pieces cuts a copy that is too large for one message. All but the last piece
// go before it as deltas that nobody waits for: what goes to one member arrives
// in order and is stored in order.
func pieces(m *messages.UserCopy) (before []proto.Message, last *messages.UserCopy) {
	if m.SizeVT() <= pieceBytes {
		return nil, m
	}
	piece, size := &messages.UserCopy{User: m.User}, 0
	for _, e := range m.Elements {
		n := e.SizeVT()
		if size+n > pieceBytes && size > 0 {
			d := messages.Delta{Copy: piece}
			b, err := d.MarshalVT()
			if err != nil {
				panic(err) // the generated code has no error to give
			}
			before = append(before, &messages.Deltas{Deltas: [][]byte{b}})
			piece, size = &messages.UserCopy{User: m.User}, 0
		}
		piece.Elements, size = append(piece.Elements, e), size+n
	}
	piece.State, piece.Version, piece.Wake, piece.Feed = m.State, m.Version, m.Wake, m.Feed
	return before, piece
}

// page is a part of a shard that another member has sent.
type page struct {
	commits []persistence.Commit
	feed    []persistence.FeedEntry
}

// onPage reads a page beside the connection: it is large, and nobody waits.
func (c *Copies) onPage(from string, m *messages.Page) {
	if !c.reads.later(func() {
		p, err := c.readPage(m)
		if err != nil {
			c.refuse(from, err)
			p = replica.Page{ID: m.Id, Shard: p.Shard}
		}
		c.hear(from, p)
	}) {
		c.hear(from, replica.Page{ID: m.Id, Shard: uint16(m.Shard % presence.Shards)})
	}
}

func (c *Copies) readPage(m *messages.Page) (replica.Page, error) {
	p := replica.Page{ID: m.Id, Shard: uint16(m.Shard % presence.Shards), Root: m.Root}
	if m.Failed {
		return p, nil
	}
	if m.Shard >= presence.Shards {
		return p, fmt.Errorf("%w: a page of shard %d", errRubbish, m.Shard)
	}
	check := newChecker(c.cfg.Now())
	data := &page{
		commits: make([]persistence.Commit, len(m.Copies)),
		feed:    make([]persistence.FeedEntry, len(m.Feed)),
	}
	var err error
	for i, one := range m.Copies {
		if data.commits[i], err = check.commit(one); err != nil {
			return p, err
		}
		if data.commits[i].User.Shard() != p.Shard {
			return p, fmt.Errorf("%w: a user of another shard in a page", errRubbish)
		}
	}
	for i, one := range m.Feed {
		if data.feed[i], err = check.feed(one, p.Shard); err != nil {
			return p, err
		}
	}
	if m.More {
		next := presence.UserID{}
		if m.Next != nil {
			if next, err = user(m.Next); err != nil {
				return p, err
			}
		}
		p.Next = next
	}
	p.OK, p.Data = true, data
	return p, nil
}

// absorbPage merges a page step by step, so that commits get their turn in
// between.
func (c *Copies) absorbPage(id uint64, shard uint16, p *page) {
	n := min(len(p.commits), pageStep)
	cs := p.commits[:n]
	p.commits = p.commits[n:]
	var feed []persistence.FeedEntry
	if len(p.commits) == 0 {
		feed = p.feed
	}
	over := func(err error) {
		c.step(func(m *replica.Machine, now time.Time) {
			c.low.note(shard, err, now)
			m.Wrote(now, id, err == nil)
		})
	}
	if len(cs) == 0 && len(feed) == 0 {
		over(nil)
		return
	}
	c.cfg.Disk.Absorb(cs, feed, func(changed []bool, err error) {
		if err == nil {
			c.pulled(cs, changed)
		}
		if err == nil && len(p.commits) > 0 {
			c.absorbPage(id, shard, p)
			return
		}
		over(err)
	})
}

// pulled tells of what a page has brought.
func (c *Copies) pulled(cs []persistence.Commit, changed []bool) {
	c.metrics.usersPulled.Add(float64(len(cs)))
	c.mu.Lock()
	merged := c.merged
	if c.closed {
		merged = nil
	}
	c.mu.Unlock()
	for i := range cs {
		if merged != nil && changed[i] {
			merged(cs[i])
		}
	}
}

// drop removes a shard that others hold now. One goes at a time, and the pulls
// that are served wait for it.
func (c *Copies) drop(o replica.Drop) {
	over := func(ok bool) {
		c.step(func(m *replica.Machine, now time.Time) { m.Wrote(now, o.ID, ok) })
	}
	if !c.reads.later(func() {
		ended := make(chan error, 1)
		c.cfg.Disk.Drop(o.Shard, o.Root, func(dropped bool, err error) {
			if dropped {
				c.metrics.drops.Inc()
			}
			ended <- err
		})
		err := <-ended
		if err != nil {
			c.cfg.Log.Warn("a shard that others hold could not be removed", "shard", o.Shard, "err", err)
		}
		over(err == nil)
	}) {
		over(false)
	}
}
