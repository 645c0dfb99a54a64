package messages

import (
	"encoding/json"
	"fmt"
	"time"

	"rollcall/presence"
)

// FromUser is the message form of u.
func FromUser(u presence.UserID) *User {
	return &User{Tenant: append([]byte(nil), u.Tenant[:]...), Mri: u.MRI}
}

// ToUser reads a user; ErrBadID for a tenant that is not 16 bytes or an MRI
// that is none.
func ToUser(m *User) (presence.UserID, error) {
	if len(m.GetTenant()) != len(presence.TenantID{}) {
		return presence.UserID{}, fmt.Errorf("%w: tenant of %d bytes", presence.ErrBadID, len(m.GetTenant()))
	}
	mri, err := presence.ParseMRI(m.Mri)
	if err != nil {
		return presence.UserID{}, err
	}
	return presence.UserID{Tenant: presence.TenantID(m.Tenant), MRI: mri}, nil
}

// FromUsers and ToUsers convert lists; the first bad one fails the list.
func FromUsers(us []presence.UserID) []*User {
	out := make([]*User, len(us))
	for i, u := range us {
		out[i] = FromUser(u)
	}
	return out
}

// ToUsers reads a list of users; the first bad one fails it.
func ToUsers(ms []*User) ([]presence.UserID, error) {
	out := make([]presence.UserID, len(ms))
	for i, m := range ms {
		u, err := ToUser(m)
		if err != nil {
			return nil, err
		}
		out[i] = u
	}
	return out, nil
}

// FromElement is the message form of e.
func FromElement(e presence.Element) *Element {
	m := &Element{Key: string(e.Key), Version: uint64(e.Stamp.Version), Node: e.Stamp.Node, Expires: e.Expires}
	switch v := e.Value.(type) {
	case presence.Session:
		m.Value = &Element_Session{&Session{
			Availability: uint32(v.Availability), Activity: uint32(v.Activity), Device: uint32(v.Device),
			App: v.App, Leased: v.Leased, LastActive: v.LastActive,
		}}
	case presence.Preferred:
		m.Value = &Element_Preferred{&Preferred{Availability: uint32(v.Availability), Activity: uint32(v.Activity)}}
	case presence.Note:
		m.Value = &Element_Note{FromNote(v)}
	case presence.Calendar:
		m.Value = &Element_Calendar{FromCalendar(v)}
	case presence.Call:
		m.Value = &Element_Call{&Call{Parties: uint32(v.Parties), Presenting: v.Presenting}}
	case presence.Location:
		m.Value = &Element_Location{FromLocation(v)}
	case presence.Block:
		m.Value = &Element_Block{&Block{}}
	case presence.Watch:
		m.Value = &Element_Watch{&Watch{Targets: FromUsers(v.Targets)}}
	}
	return m
}

// ToElement reads an element; a value of a kind that this version does not know
// is an error, never taken for cleared.
func ToElement(m *Element) (presence.Element, error) {
	e := presence.Element{
		Key:     presence.Key(m.GetKey()),
		Stamp:   presence.Stamp{Version: presence.Version(m.GetVersion()), Node: m.GetNode()},
		Expires: m.GetExpires(),
	}
	switch v := m.GetValue().(type) {
	case nil:
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			return e, fmt.Errorf("%w: element %q has a value of an unknown kind", presence.ErrValue, m.GetKey())
		}
	case *Element_Session:
		e.Value = toSession(v.Session)
	case *Element_Preferred:
		e.Value = presence.Preferred{
			Availability: presence.Availability(v.Preferred.GetAvailability()),
			Activity:     presence.Activity(v.Preferred.GetActivity()),
		}
	case *Element_Note:
		e.Value = ToNote(v.Note)
	case *Element_Calendar:
		e.Value = ToCalendar(v.Calendar)
	case *Element_Call:
		e.Value = presence.Call{Parties: int(v.Call.GetParties()), Presenting: v.Call.GetPresenting()}
	case *Element_Location:
		e.Value = ToLocation(v.Location)
	case *Element_Block:
		e.Value = presence.Block{}
	case *Element_Watch:
		targets, err := ToUsers(v.Watch.GetTargets())
		if err != nil {
			return e, err
		}
		e.Value = presence.Watch{Targets: targets}
	}
	return e, nil
}

func toSession(s *Session) presence.Session {
	return presence.Session{
		Availability: presence.Availability(s.GetAvailability()), Activity: presence.Activity(s.GetActivity()),
		Device: presence.Device(s.GetDevice()), App: s.GetApp(), Leased: s.GetLeased(), LastActive: s.GetLastActive(),
	}
}

// FromNote is the message form of a note; nil for the zero note.
func FromNote(n presence.Note) *Note {
	if n == (presence.Note{}) {
		return nil
	}
	return &Note{Content: n.Content, Pinned: n.Pinned, Published: n.Published, Expiry: n.Expiry}
}

// ToNote reads a note; nil is the zero note.
func ToNote(n *Note) presence.Note {
	return presence.Note{Content: n.GetContent(), Pinned: n.GetPinned(), Published: n.GetPublished(), Expiry: n.GetExpiry()}
}

// FromCalendar is the message form of c.
func FromCalendar(c presence.Calendar) *Calendar {
	m := &Calendar{}
	for _, e := range c.Entries {
		m.Entries = append(m.Entries, &CalendarEntry{Kind: uint32(e.Kind), Start: e.Start, End: e.End, Message: e.Message})
	}
	return m
}

// ToCalendar reads a calendar.
func ToCalendar(m *Calendar) presence.Calendar {
	var c presence.Calendar
	for _, e := range m.GetEntries() {
		c.Entries = append(c.Entries, presence.Entry{
			Kind: presence.EntryKind(e.GetKind()), Start: e.GetStart(), End: e.GetEnd(), Message: e.GetMessage(),
		})
	}
	return c
}

// FromLocation is the message form of l; nil for the zero location.
func FromLocation(l presence.Location) *Location {
	if l == (presence.Location{}) {
		return nil
	}
	return &Location{Type: uint32(l.Type), PlaceId: l.PlaceID}
}

// ToLocation reads a location.
func ToLocation(l *Location) presence.Location {
	return presence.Location{Type: presence.LocationType(l.GetType()), PlaceID: l.GetPlaceId()}
}

// FromState is the message form of s.
func FromState(s presence.State) *State {
	return &State{
		Availability: uint32(s.Availability), Activity: uint32(s.Activity), Device: uint32(s.Device),
		LastActive: s.LastActive, OutOfOffice: s.OutOfOffice, OutOfOfficeMessage: s.OutOfOfficeMessage,
		Note: FromNote(s.Note), Location: FromLocation(s.Location), LocationSource: uint32(s.LocationSource),
		Forced: s.Forced, ForcedUntil: s.ForcedUntil,
	}
}

// ToState reads a state.
func ToState(m *State) presence.State {
	return presence.State{
		Availability: presence.Availability(m.GetAvailability()), Activity: presence.Activity(m.GetActivity()),
		Device: presence.Device(m.GetDevice()), LastActive: m.GetLastActive(),
		OutOfOffice: m.GetOutOfOffice(), OutOfOfficeMessage: m.GetOutOfOfficeMessage(),
		Note: ToNote(m.GetNote()), Location: ToLocation(m.GetLocation()),
		LocationSource: presence.Source(m.GetLocationSource()),
		Forced:         m.GetForced(), ForcedUntil: m.GetForcedUntil(),
	}
}

// FromMutation and ToMutation convert what a publish asks for.
func FromMutation(m presence.Mutation) *Mutation {
	return &Mutation{
		Op: uint32(m.Op), MustExist: m.MustExist,
		Element: FromElement(presence.Element{Key: m.Key, Expires: m.Expires, Value: m.Value}),
	}
}

// ToMutation reads a mutation.
func ToMutation(m *Mutation) (presence.Mutation, error) {
	e, err := ToElement(m.GetElement())
	return presence.Mutation{
		Op: presence.Op(m.GetOp()), Key: e.Key, Value: e.Value, Expires: e.Expires, MustExist: m.GetMustExist(),
	}, err
}

// FromPolicy is the message form of p.
func FromPolicy(p presence.Policy) (*Policy, error) {
	quotas, err := json.Marshal(p.Quotas)
	if err != nil {
		return nil, fmt.Errorf("messages: encode quotas: %w", err)
	}
	m := &Policy{
		Tenant: append([]byte(nil), p.Tenant[:]...), Version: uint64(p.Version), Org: p.Org,
		Federation: uint32(p.Federation), Privacy: p.Privacy,
		IdleAfterMs: p.Rules.IdleAfter.Milliseconds(), AwayAfterMs: p.Rules.AwayAfter.Milliseconds(),
		GraceMs: p.Grace.Milliseconds(), ChangeIntervalMs: p.ChangeInterval.Milliseconds(), QuotasJson: quotas,
	}
	for _, t := range p.List {
		m.List = append(m.List, append([]byte(nil), t[:]...))
	}
	return m, nil
}

// ToPolicy reads a policy. It does not judge it: Policy.Check does.
func ToPolicy(m *Policy) (presence.Policy, error) {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	p := presence.Policy{
		Version: presence.Version(m.GetVersion()), Org: m.GetOrg(), Federation: presence.Federation(m.GetFederation()),
		Privacy: m.GetPrivacy(), Rules: presence.Rules{IdleAfter: ms(m.GetIdleAfterMs()), AwayAfter: ms(m.GetAwayAfterMs())},
		Grace: ms(m.GetGraceMs()), ChangeInterval: ms(m.GetChangeIntervalMs()),
	}
	for i, t := range append([][]byte{m.GetTenant()}, m.GetList()...) {
		if len(t) != len(presence.TenantID{}) {
			return p, fmt.Errorf("%w: tenant of %d bytes", presence.ErrBadID, len(t))
		}
		if i == 0 {
			p.Tenant = presence.TenantID(t)
			continue
		}
		p.List = append(p.List, presence.TenantID(t))
	}
	if err := json.Unmarshal(m.GetQuotasJson(), &p.Quotas); err != nil {
		return p, fmt.Errorf("%w: quotas: %w", presence.ErrValue, err)
	}
	return p, nil
}
