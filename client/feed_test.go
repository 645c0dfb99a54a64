package client

import "testing"

func TestNewerPresenceThatComesDuringAHandOverIsKept(t *testing.T) {
	f := newFeed()
	f.put(Presence{User: "a", Version: 1})
	f.put(Presence{User: "b", Version: 1})
	handed, _ := f.peek()
	f.put(Presence{User: "a", Version: 2})
	f.taken(handed)
	if p, ok := f.peek(); !ok || p.User != "a" || p.Version != 2 {
		t.Errorf("next is %+v, %v; want a's second version, in a's place", p, ok)
	}
	handed, _ = f.peek()
	f.drop("a")
	f.taken(handed)
	if p, ok := f.peek(); !ok || p.User != "b" {
		t.Errorf("next is %+v, %v; want b", p, ok)
	}
	f.taken(Presence{User: "b", Version: 1})
	if _, ok := f.peek(); ok || len(f.newest) != 0 || len(f.order) != 0 {
		t.Errorf("left over: %v %v", f.order, f.newest)
	}
}
