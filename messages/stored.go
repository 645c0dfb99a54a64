package messages

import (
	"fmt"
	"time"

	"rollcall/presence"
)

// StoredUser is one user as it lies in the presence store. Blocks and watches lie apart:
// EncodeStored leaves them out and notes that blocks exist.
type StoredUser struct {
	Record  presence.Record
	State   presence.State
	Version presence.Version
	Wake    time.Time // zero: nothing changes by itself
	Blocks  bool      // block elements lie beside it
}

// EncodeStored appends nothing to the record and keeps no reference to it.
func EncodeStored(u *StoredUser) ([]byte, error) {
	m := &Stored{State: FromState(u.State), Version: uint64(u.Version), Blocks: u.Blocks}
	if !u.Wake.IsZero() {
		m.Wake = u.Wake.UnixMilli()
	}
	for _, e := range u.Record.Elements() {
		switch kind, _ := e.Key.Split(); kind {
		case "block":
			m.Blocks = true
		case "watch":
		default:
			m.Elements = append(m.Elements, FromElement(e))
		}
	}
	return m.MarshalVT()
}

// DecodeStored reads what EncodeStored wrote; it checks every element.
func DecodeStored(b []byte) (*StoredUser, error) {
	var m Stored
	if err := m.UnmarshalVT(b); err != nil {
		return nil, fmt.Errorf("messages: stored user: %w", err)
	}
	u := &StoredUser{State: ToState(m.State), Version: presence.Version(m.Version), Blocks: m.Blocks}
	if m.Wake != 0 {
		u.Wake = time.UnixMilli(m.Wake)
	}
	for _, e := range m.Elements {
		el, err := ToElement(e)
		if err != nil {
			return nil, fmt.Errorf("messages: stored user: %w", err)
		}
		u.Record.Merge(el)
	}
	return u, nil
}

// EncodeElement is the stored form of one block or watch element.
func EncodeElement(e presence.Element) ([]byte, error) { return FromElement(e).MarshalVT() }

// DecodeElement reads what EncodeElement wrote.
func DecodeElement(b []byte) (presence.Element, error) {
	var m Element
	if err := m.UnmarshalVT(b); err != nil {
		return presence.Element{}, fmt.Errorf("messages: stored element: %w", err)
	}
	return ToElement(&m)
}
