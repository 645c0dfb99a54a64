package presence

import (
	"slices"
	"strings"
	"time"
)

// Key names an element of a record: a kind, or a kind, "/" and an id.
type Key string

// The kinds of element.
const (
	KindSession   = "session"
	KindPreferred = "preferred"
	KindNote      = "note"
	KindCalendar  = "calendar"
	KindCall      = "call"
	KindLocation  = "location"
	KindBlock     = "block"
	KindWatch     = "watch"
)

// Keys of the kinds that a record holds once.
const (
	PreferredKey Key = KindPreferred
	NoteKey      Key = KindNote
	CalendarKey  Key = KindCalendar
)

// SessionKey names a client's or an application's session.
func SessionKey(id string) Key { return KindSession + "/" + Key(id) }

// AppSessionKey names the session that an application keeps under an id of its
// own choice. Clients' ids have no @, so the two never meet.
func AppSessionKey(id string) Key { return SessionKey("@" + id) }

// CallKey names a call that the user takes part in.
func CallKey(id string) Key { return KindCall + "/" + Key(id) }

// LocationKey names one layer of the work location.
func LocationKey(layer Layer) Key { return KindLocation + "/" + Key(layer.String()) }

// BlockKey names the block of another user, who then sees Offline.
func BlockKey(u UserID) Key { return KindBlock + "/" + Key(u.String()) }

// WatchKey names the list of users that one endpoint of this user watches.
func WatchKey(endpoint string) Key { return KindWatch + "/" + Key(endpoint) }

// Split parts a key into kind and id; the id of a once-only kind is empty.
func (k Key) Split() (kind, rest string) {
	kind, rest, _ = strings.Cut(string(k), "/")
	return kind, rest
}

// Layer is a layer of the work location; a smaller one hides a greater one.
type Layer uint8

// The layers in order of precedence.
const (
	Manual Layer = iota
	Automatic
	Scheduled
)

var layers = [...]struct {
	name   string
	source Source
}{{"manual", SourceManual}, {"automatic", SourceAutomatic}, {"scheduled", SourceScheduled}}

// String is the lower-case name, which is part of the stored key.
func (l Layer) String() string {
	if int(l) < len(layers) {
		return layers[l].name
	}
	return "invalid"
}

// Value is the content of an element. The set is closed: Session, Preferred,
// Note, Calendar, Call, Location, Block and Watch, each by value. Values, and
// the slices inside them, are never changed once they are in a record.
type Value interface{ value() }

// Session is one live client or application of the user.
type Session struct {
	Availability Availability
	Activity     Activity
	Device       Device
	App          bool  // kept by an application, not by a client of the user
	Leased       bool  // lives with an endpoint, which renews the expiry
	LastActive   int64 // unix ms; Apply reads 0 as now
}

// Preferred is the presence the user has chosen; it hides what sessions,
// calendar and calls say, but shows nothing without a session.
type Preferred struct {
	Availability Availability
	Activity     Activity
}

// Note is the user's status message. Times are unix ms, 0 means never; Expiry
// equals the element's expiry.
type Note struct {
	Content           string
	Pinned            bool
	Published, Expiry int64
}

// Calendar is what the user's mailbox says; at most MaxEntries entries.
type Calendar struct{ Entries []Entry }

// Entry runs from Start until just before End, both unix ms. Message is the
// automatic reply of an OutOfOffice entry.
type Entry struct {
	Kind       EntryKind
	Start, End int64
	Message    string
}

// Call is a call in progress. Parties counts the user too.
type Call struct {
	Parties    int
	Presenting bool
}

// Location is where the user works; PlaceID names a building or desk and may
// be empty.
type Location struct {
	Type    LocationType
	PlaceID string
}

// Block says that the user named in the key sees this user as Offline.
type Block struct{}

// Watch lists whom one endpoint watches, sorted by UserID.Compare and unique.
type Watch struct{ Targets []UserID }

// NewWatch sorts a copy of targets and drops repeats.
func NewWatch(targets []UserID) Watch {
	t := slices.Clone(targets)
	slices.SortFunc(t, UserID.Compare)
	return Watch{Targets: slices.Compact(t)}
}

func (Session) value()   {}
func (Preferred) value() {}
func (Note) value()      {}
func (Calendar) value()  {}
func (Call) value()      {}
func (Location) value()  {}
func (Block) value()     {}
func (Watch) value()     {}

// Element is one register of a record. A nil Value is a cleared register: it
// stays so that an older copy cannot come back, and its Expires is the end of
// the value that it cleared.
type Element struct {
	Key     Key
	Stamp   Stamp
	Expires int64 // unix ms, 0 never
	Value   Value
}

// Live tells whether e counts at now: not cleared, and now before its expiry.
func (e Element) Live(now time.Time) bool { return e.liveAt(now.UnixMilli()) }

func (e Element) liveAt(ms int64) bool {
	return e.Value != nil && (e.Expires == 0 || ms < e.Expires)
}
