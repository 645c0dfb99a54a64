package actors

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// Publishes of one endpoint follow each other: none overtakes another, and no
// more than a bounded number waits.
func TestPublishesOfAnEndpointFollowEachOther(t *testing.T) {
	w := start(t)
	w.fast(home)
	d := w.connect(alice, "phone")
	d.publishSession(1, presence.Available, presence.ActAvailable)
	before := w.store.count()
	w.store.hold()
	const sent = maxPublishes + 11 // one is under way, ten do not fit
	for i := range uint64(sent) {
		p := put(presence.NoteKey, presence.Note{Content: fmt.Sprint("note ", i)}, time.Time{})
		if err := d.link.Publish(100+i, p); err != nil {
			t.Fatal(err)
		}
	}
	answers := func() (ok, refused int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for id, a := range d.answers {
			switch {
			case id < 100:
			case errors.Is(a.Err, messages.ErrOverloaded):
				refused++
			case a.Err == nil:
				ok++
			}
		}
		return ok, refused
	}
	eventually(t, "what does not fit is refused", func() bool { _, refused := answers(); return refused == 10 })
	eventually(t, "the first is being stored", func() bool { return w.store.count() == before+1 })
	if ok, _ := answers(); ok != 0 {
		t.Errorf("%d were answered before the first was stored", ok)
	}
	w.store.release()
	eventually(t, "the others are stored", func() bool { ok, _ := answers(); return ok == maxPublishes+1 })
	if got := w.read(alice, alice).State.Note.Content; got != fmt.Sprint("note ", maxPublishes) {
		t.Errorf("in the end the note is %q", got)
	}
}

// An owner applies a publish once, however often it comes, and none that a later
// one of the same device has overtaken.
func TestRepeatedAndOvertakenPublishes(t *testing.T) {
	w := start(t)
	w.fast(home)
	send := func(id uint64, note string) *messages.Published {
		p := put(presence.NoteKey, presence.Note{Content: note}, time.Time{})
		p.Device, p.gateway, p.id = "phone", w.node.Name, id
		a, err := ask[*messages.Published](t.Context(), w.System, userAddress(alice), p.message())
		if err != nil || a.Error.Err() != nil {
			t.Fatal(err, a.GetError())
		}
		return a
	}
	first := send(5, "five")
	if again := send(5, "five once more"); again.Version != first.Version {
		t.Error("a publish that came twice was applied twice")
	}
	send(4, "four, which came late")
	if got := w.read(alice, alice).State.Note.Content; got != "five" {
		t.Errorf("the note is %q", got)
	}
	send(6, "six")
	if got := w.read(alice, alice).State.Note.Content; got != "six" {
		t.Errorf("the note is %q", got)
	}
}
