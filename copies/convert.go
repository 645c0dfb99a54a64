package copies

import (
	"errors"
	"fmt"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// Bounds of what another node may send of one user.
const (
	maxElements = 64 << 10
	maxText     = 8 << 10 // bytes of text in a state
)

// errRubbish is why a message of another node was not taken.
var errRubbish = errors.New("copies: a message of another node is not valid")

func fromCommit(c *persistence.Commit) *messages.UserCopy {
	m := &messages.UserCopy{User: messages.FromUser(c.User), Elements: fromElements(c.Elements)}
	if c.Version != 0 {
		m.State, m.Version = messages.FromState(c.State), uint64(c.Version)
	}
	if !c.Wake.IsZero() {
		m.Wake = c.Wake.UnixMilli()
	}
	if f := c.Feed; f != nil { // the copy says the rest
		m.Feed = &messages.FeedEntry{Origin: f.Origin, Seq: f.Seq, Prev: f.Prev, At: f.At.UnixMilli()}
	}
	return m
}

func fromElements(es []presence.Element) []*messages.Element {
	ms := make([]*messages.Element, len(es))
	for i, e := range es {
		ms[i] = messages.FromElement(e)
	}
	return ms
}

// checker reads what other nodes send, at one moment.
type checker struct {
	latest int64 // unix ms that another clock may show
}

func newChecker(now time.Time) checker { return checker{now.Add(presence.MaxAhead).UnixMilli()} }

func (k checker) version(v uint64) (presence.Version, error) {
	if presence.Version(v).Millis() > k.latest {
		return 0, fmt.Errorf("version %d: %w", v, presence.ErrClockAhead)
	}
	return presence.Version(v), nil
}

// commit reads a copy of a user, or a part of one.
func (k checker) commit(m *messages.UserCopy) (c persistence.Commit, err error) {
	if c.User, err = user(m.GetUser()); err != nil {
		return c, err
	}
	if len(m.Elements) > maxElements {
		return c, fmt.Errorf("%w: %d elements", errRubbish, len(m.Elements))
	}
	c.Elements = make([]presence.Element, len(m.Elements))
	for i, e := range m.Elements {
		if c.Elements[i], err = k.element(e); err != nil {
			return c, err
		}
	}
	if c.Version, err = k.version(m.Version); err != nil {
		return c, err
	}
	if c.Version != 0 {
		if c.State, err = state(m.State); err != nil {
			return c, err
		}
	}
	if m.Wake != 0 {
		c.Wake = time.UnixMilli(m.Wake)
	}
	if f := m.Feed; f != nil {
		if c.Version == 0 || !numbered(f) && f.Origin|f.Seq|f.Prev != 0 {
			return c, fmt.Errorf("%w: feed entry %d of %x", errRubbish, f.Seq, f.Origin)
		}
		c.Feed = &persistence.FeedEntry{
			Origin: f.Origin, Seq: f.Seq, Prev: f.Prev, At: time.UnixMilli(f.At),
			User: c.User, State: c.State, Version: c.Version,
		}
	}
	return c, nil
}

func (k checker) element(m *messages.Element) (presence.Element, error) {
	e, err := messages.ToElement(m)
	if err != nil {
		return e, err
	}
	if _, err := k.version(uint64(e.Stamp.Version)); err != nil {
		return e, err
	}
	return e, e.Check()
}

func numbered(f *messages.FeedEntry) bool { return f.GetOrigin() != 0 && f.GetSeq() > f.GetPrev() }

// feed reads one entry of a shard that stands alone. One without a user is a
// marker; its version is the shard.
func (k checker) feed(m *messages.FeedEntry, shard uint16) (f persistence.FeedEntry, err error) {
	f = persistence.FeedEntry{Origin: m.GetOrigin(), Seq: m.GetSeq(), Prev: m.GetPrev(), At: time.UnixMilli(m.GetAt())}
	if !numbered(m) {
		return f, fmt.Errorf("%w: feed entry %d of %x", errRubbish, f.Seq, f.Origin)
	}
	if m.User == nil {
		if m.Version != uint64(shard) {
			return f, fmt.Errorf("%w: a marker of another shard", errRubbish)
		}
		f.Version = presence.Version(shard)
		return f, nil
	}
	if f.User, err = user(m.User); err != nil {
		return f, err
	}
	if f.User.Shard() != shard {
		return f, fmt.Errorf("%w: a change of another shard", errRubbish)
	}
	if f.Version, err = k.version(m.Version); err != nil {
		return f, err
	}
	f.State, err = state(m.State)
	return f, err
}

func fromFeed(f *persistence.FeedEntry) *messages.FeedEntry {
	m := &messages.FeedEntry{Origin: f.Origin, Seq: f.Seq, Prev: f.Prev, At: f.At.UnixMilli(), Version: uint64(f.Version)}
	if !f.Marker() {
		m.User, m.State = messages.FromUser(f.User), messages.FromState(f.State)
	}
	return m
}

func user(m *messages.User) (presence.UserID, error) {
	u, err := messages.ToUser(m)
	if err == nil && u.Tenant == (presence.TenantID{}) {
		err = fmt.Errorf("%w: user without a tenant", presence.ErrBadID)
	}
	return u, err
}

func state(m *messages.State) (presence.State, error) {
	if m == nil {
		return presence.State{}, fmt.Errorf("%w: a version without a state", errRubbish)
	}
	s := messages.ToState(m)
	if n := len(s.OutOfOfficeMessage) + len(s.Note.Content) + len(s.Location.PlaceID); n > maxText {
		return s, fmt.Errorf("%w: a state with %d bytes of text", errRubbish, n)
	}
	return s, nil
}
