package persistence

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/persistence/merge"
	"rollcall/presence"
)

// The numbers of the fields of messages.Stored, Element, Session and Policy
// that are read without the rest.
const (
	storedElements = 1
	storedVersion  = 3

	elementKey     = 1
	elementVersion = 2
	elementNode    = 3
	elementExpires = 4

	sessionLeased = 5
	policyVersion = 2
)

// glance is what a digest and a sweep need of the value under one key.
type glance struct {
	sum   uint64 // of its terms
	spent bool   // something in it would be dropped
}

// head is an element without its value.
type head struct {
	key     []byte // shares the payload's memory
	stamp   presence.Stamp
	expires int64
	kept    protowire.Number // the field of the value; 0: cleared
	value   []byte
}

// skim reads a payload of one of userKinds without decoding it.
func skim(k kind, user uint64, payload []byte, now time.Time) (g glance, err error) {
	if k != kindPresence {
		err = g.element(user, payload, now)
		return g, err
	}
	err = fields(payload, func(n protowire.Number, value []byte) error {
		switch n {
		case storedElements:
			return g.element(user, value, now)
		case storedVersion:
			v, _ := protowire.ConsumeFixed64(value)
			g.sum += merge.Version(user, presence.Version(v))
		}
		return nil
	})
	return g, err
}

func (g *glance) element(user uint64, payload []byte, now time.Time) error {
	h, err := headOf(payload)
	g.sum += merge.Term(user, h.key, h.stamp)
	g.spent = g.spent || h.spent(now)
	return err
}

func headOf(payload []byte) (h head, err error) {
	err = fields(payload, func(n protowire.Number, value []byte) error {
		switch n {
		case elementKey:
			h.key = value
		case elementVersion:
			v, _ := protowire.ConsumeFixed64(value)
			h.stamp.Version = presence.Version(v)
		case elementNode:
			h.stamp.Node, _ = protowire.ConsumeFixed64(value)
		case elementExpires:
			v, _ := protowire.ConsumeVarint(value)
			h.expires = int64(v)
		default:
			h.kept, h.value = n, value
		}
		return nil
	})
	return h, err
}

// spent is merge.Spent. Most elements are told from their end and their stamp.
func (h *head) spent(now time.Time) bool {
	recent := now.Add(-merge.KeepExpired).UnixMilli()
	switch {
	case h.kept != 0 && (h.expires == 0 || h.expires > recent), h.kept == 0 && h.stamp.Version.Millis() > recent:
		return false
	}
	e := presence.Element{Key: presence.Key(h.key), Stamp: h.stamp, Expires: h.expires}
	if h.kept != 0 {
		e.Value = presence.Block{} // any that is none of a lease
		if bytes.HasPrefix(h.key, []byte(presence.KindSession)) {
			e.Value = presence.Session{Leased: leased(h.value)}
		}
	}
	return merge.Spent(e, now)
}

// leased reads one flag of a session; what cannot be read is kept.
func leased(session []byte) (yes bool) {
	err := fields(session, func(n protowire.Number, value []byte) error {
		if n == sessionLeased {
			v, _ := protowire.ConsumeVarint(value)
			yes = v != 0
		}
		return nil
	})
	return yes || err != nil
}

// fields shows the fields of a message: the content of those with a length, the
// encoded number of others. It checks that every field is whole.
func fields(b []byte, each func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		n, wire, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return fmt.Errorf("%w: %w", ErrCorrupt, protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(n, wire, b[tag:])
		if size < 0 {
			return fmt.Errorf("%w: %w", ErrCorrupt, protowire.ParseError(size))
		}
		value := b[tag : tag+size]
		if wire == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		if err := each(n, value); err != nil {
			return err
		}
		b = b[tag+size:]
	}
	return nil
}
