package messages

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/presence"
)

var (
	tenant = presence.TenantID{1, 2, 3, 15: 16}
	alice  = presence.UserID{Tenant: tenant, MRI: "8:alice"}
)

// values draws a value of every kind there is, so that one that a conversion
// forgets is found.
func values(t *rapid.T) presence.Value {
	text, ms := rapid.StringN(0, 20, 60), rapid.Int64Range(0, 1<<42)
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return presence.Session{
			Availability: presence.Availability(rapid.IntRange(0, 8).Draw(t, "availability")),
			Activity:     presence.Activity(rapid.IntRange(0, 15).Draw(t, "activity")),
			Device:       presence.Device(rapid.IntRange(0, 4).Draw(t, "device")),
			App:          rapid.Bool().Draw(t, "app"), Leased: rapid.Bool().Draw(t, "leased"), LastActive: ms.Draw(t, "active"),
		}
	case 2:
		return presence.Preferred{Availability: presence.Away, Activity: presence.ActAway}
	case 3:
		return presence.Note{Content: text.Draw(t, "note"), Pinned: rapid.Bool().Draw(t, "pinned"), Published: ms.Draw(t, "published"), Expiry: ms.Draw(t, "expiry")}
	case 4:
		var c presence.Calendar
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			c.Entries = append(c.Entries, presence.Entry{Kind: presence.Meeting, Start: ms.Draw(t, "start"), End: ms.Draw(t, "end"), Message: text.Draw(t, "message")})
		}
		return c
	case 5:
		return presence.Call{Parties: rapid.IntRange(0, 1000).Draw(t, "parties"), Presenting: rapid.Bool().Draw(t, "presenting")}
	case 6:
		return presence.Location{Type: presence.LocationRemote, PlaceID: text.Draw(t, "place")}
	case 7:
		return presence.Block{}
	}
	return presence.Watch{Targets: []presence.UserID{alice, {Tenant: tenant, MRI: "8:bob"}}[:rapid.IntRange(0, 2).Draw(t, "targets")]}
}

func TestElementsSurviveTheirEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := presence.Element{
			Key: "kind/x", Stamp: presence.Stamp{Version: presence.Version(rapid.Uint64().Draw(t, "version")), Node: rapid.Uint64().Draw(t, "node")},
			Expires: rapid.Int64Range(0, 1<<42).Draw(t, "expires"), Value: values(t),
		}
		b, err := EncodeElement(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeElement(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e, got, cmp.Transformer("empty", func(w presence.Watch) []presence.UserID { return append([]presence.UserID{}, w.Targets...) })); d != "" {
			t.Error(d)
		}
		m := presence.Mutation{Op: presence.Put, Key: e.Key, Value: e.Value, Expires: e.Expires, MustExist: true}
		back, err := ToMutation(FromMutation(m))
		if err != nil || back.Op != m.Op || back.Key != m.Key || back.Expires != m.Expires || !back.MustExist {
			t.Errorf("%+v came back as %+v, %v", m, back, err)
		}
	})
}

// A value of a kind that a newer version wrote is refused: taken for cleared it
// would erase what it stands for.
func TestUnknownKindIsNotCleared(t *testing.T) {
	b, err := EncodeElement(presence.Element{Key: "future/x", Expires: 5})
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, 0x9a, 0x06, 2, 'h', 'i') // field 99, two bytes
	if e, err := DecodeElement(b); !errors.Is(err, presence.ErrValue) {
		t.Errorf("read as %+v, %v", e, err)
	}
}

func TestStoredUser(t *testing.T) {
	var r presence.Record
	for _, e := range []presence.Element{
		{Key: presence.SessionKey("s"), Stamp: presence.Stamp{Version: 5, Node: 1}, Expires: 9, Value: presence.Session{Availability: presence.Busy}},
		{Key: presence.NoteKey, Stamp: presence.Stamp{Version: 6, Node: 1}},
		{Key: presence.BlockKey(alice), Stamp: presence.Stamp{Version: 7, Node: 1}, Value: presence.Block{}},
		{Key: presence.WatchKey("e"), Stamp: presence.Stamp{Version: 8, Node: 1}, Value: presence.Watch{Targets: []presence.UserID{alice}}},
	} {
		r.Merge(e)
	}
	in := &StoredUser{Record: r, Version: 77, Wake: time.UnixMilli(1234), State: presence.State{
		Availability: presence.Busy, Activity: presence.ActInACall, Device: presence.Mobile, LastActive: 3, OutOfOffice: true,
		OutOfOfficeMessage: "gone", Note: presence.Note{Content: "n", Pinned: true, Published: 1, Expiry: 2},
		Location: presence.Location{Type: presence.LocationOffice, PlaceID: "p"}, LocationSource: presence.SourceManual,
		Forced: true, ForcedUntil: 4,
	}}
	b, err := EncodeStored(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := DecodeStored(b)
	if err != nil {
		t.Fatal(err)
	}
	if out.State != in.State || out.Version != 77 || !out.Wake.Equal(in.Wake) || !out.Blocks {
		t.Errorf("came back as %+v", out)
	}
	var keys []string
	for _, e := range out.Record.Elements() {
		keys = append(keys, string(e.Key))
	}
	if got := strings.Join(keys, " "); got != "note session/s" {
		t.Errorf("elements %q: blocks and watches lie apart, cleared elements stay", got)
	}
	if _, err := DecodeStored([]byte("rubbish")); err == nil {
		t.Error("rubbish was read")
	}
}

func TestPolicy(t *testing.T) {
	p := presence.DefaultPolicy(tenant)
	p.Version, p.Org, p.Federation, p.Privacy = 9, "contoso", presence.AllowList, true
	p.List = []presence.TenantID{{9}, {8}}
	p.Rules.IdleAfter, p.Grace, p.ChangeInterval = 61*time.Second, 7*time.Second, 0
	p.Quotas.Watchers = 5
	m, err := FromPolicy(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ToPolicy(m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, got); d != "" {
		t.Error(d)
	}
	m.List = append(m.List, []byte{1, 2})
	if _, err := ToPolicy(m); !errors.Is(err, presence.ErrBadID) {
		t.Errorf("a list with a broken tenant: %v", err)
	}
	m.List, m.QuotasJson = nil, []byte("{")
	if _, err := ToPolicy(m); !errors.Is(err, presence.ErrValue) {
		t.Errorf("broken quotas: %v", err)
	}
}

func TestUsers(t *testing.T) {
	if u, err := ToUser(FromUser(alice)); err != nil || u != alice {
		t.Errorf("%v, %v", u, err)
	}
	for name, m := range map[string]*User{
		"nil": nil, "no tenant": {Mri: "8:a"}, "long tenant": {Tenant: make([]byte, 17), Mri: "8:a"}, "bad MRI": {Tenant: tenant[:], Mri: "x"},
	} {
		if _, err := ToUser(m); !errors.Is(err, presence.ErrBadID) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ToUsers([]*User{FromUser(alice), m}); !errors.Is(err, presence.ErrBadID) {
			t.Errorf("a list with %s: %v", name, err)
		}
	}
}

func TestErrors(t *testing.T) {
	wrapped := fmt.Errorf("somewhere: %w", ErrPublishRate.After(3*time.Second))
	back := StatusOf(wrapped).Err()
	var e *Error
	if !errors.Is(back, ErrPublishRate) || errors.Is(back, ErrOverloaded) || !errors.As(back, &e) || e.RetryAfter != 3*time.Second {
		t.Errorf("came back as %v", back)
	}
	for rule, code := range map[error]string{
		presence.ErrBadID: "bad_id", presence.ErrPair: "bad_state", presence.ErrDuration: "bad_duration",
		presence.ErrNote: "bad_note", presence.ErrNoSession: "no_session", presence.ErrValue: "bad_request",
		errors.New("anything else"): "internal",
	} {
		got := ErrorOf(fmt.Errorf("the key: %w", rule))
		if got.Code != code || (code != "internal" && !strings.Contains(got.Text, "the key")) {
			t.Errorf("%v: %s %q", rule, got.Code, got.Text)
		}
	}
	if StatusOf(nil) != nil || (*Status)(nil).Err() != nil {
		t.Error("no error became one")
	}
}

func TestItems(t *testing.T) {
	s := presence.State{
		Availability: presence.Available, Activity: presence.ActOutOfOffice, Device: presence.Web, LastActive: 1_700_000_000_000,
		OutOfOffice: true, OutOfOfficeMessage: `quote " and <tag>`, Note: presence.Note{Content: "é", Expiry: 1_700_000_000_000},
		Location: presence.Location{Type: presence.LocationRemote}, LocationSource: presence.SourceScheduled,
	}
	got := string(EncodeItemJSON("8:alice", 3, s))
	want := `{"user":"8:alice","version":"A00000000000000000003","availability":"Available","activity":"OutOfOffice","device":"Web",` +
		`"lastActive":"2023-11-14T22:13:20.000Z","outOfOffice":{"message":"quote \" and \u003ctag\u003e"},` +
		`"note":{"content":"é","expiry":"2023-11-14T22:13:20.000Z"},"location":{"type":"Remote","source":"Scheduled"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(EncodeItemJSON("8:a", 1, presence.State{})); got !=
		`{"user":"8:a","version":"A00000000000000000001","availability":"PresenceUnknown","activity":"PresenceUnknown"}` {
		t.Errorf("a hidden user is shown as %s", got)
	}
	var it PresenceItem
	if err := it.UnmarshalVT(EncodeItem("8:alice", 3, s)); err != nil {
		t.Fatal(err)
	}
	if it.User != "8:alice" || it.Version != 3 || it.Activity != "OutOfOffice" || it.LocationSource != "Scheduled" || it.Note.GetContent() != "é" {
		t.Errorf("the binary item is %v", &it)
	}
}

func FuzzDecodeStored(f *testing.F) {
	b, err := EncodeStored(&StoredUser{Version: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := DecodeStored(b)
		if err != nil {
			return
		}
		once, err := EncodeStored(u)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeStored(once)
		if err != nil {
			t.Fatal(err)
		}
		if twice, _ := EncodeStored(again); !bytes.Equal(once, twice) {
			t.Error("what was read is not what was written")
		}
	})
}
