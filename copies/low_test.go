package copies

import (
	"testing"
	"time"

	"rollcall/persistence"
	"rollcall/presence"
)

// What the others have taken in place of a full disk is read at the owner, too.
func TestFullDiskReadsWhatOthersHave(t *testing.T) {
	play(t, func(t *testing.T, n *network) {
		three(n, Config{Ack: 2})
		table := n.meet()
		n.settled(settleTime)
		u := userN(1)
		owner := n.holders(table, u)[0]
		list := func(target presence.UserID) persistence.Commit {
			return persistence.Commit{User: u, Elements: []presence.Element{{
				Key: presence.WatchKey("phone"), Value: presence.NewWatch([]presence.UserID{target}),
				Stamp: presence.Stamp{Version: note(u, "").Version, Node: 1}, Expires: time.Now().Add(time.Hour).UnixMilli(),
			}}}
		}
		watch := func(target presence.UserID) {
			done := make(chan error, 1)
			owner.Commit(list(target), false, func(_ int, err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		watch(userN(2))
		setLow(owner.disk, true)
		watch(userN(3))
		if _, err := owner.commit(note(u, "carried")); err != nil {
			t.Fatal(err)
		}
		read := make(chan presence.Element, 1)
		owner.LoadWatch(u, "phone", func(e presence.Element, ok bool, err error) {
			if !ok || err != nil {
				t.Errorf("no list: %v", err)
			}
			read <- e
		})
		if w, _ := (<-read).Value.(presence.Watch); len(w.Targets) != 1 || w.Targets[0] != userN(3) {
			t.Errorf("the owner reads %v", w.Targets)
		}
		if l, err := owner.load(u); err != nil || l.State.Note.Content != "carried" {
			t.Errorf("the owner reads %+v, %v", l.State, err)
		}
	})
}
