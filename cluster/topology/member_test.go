package topology

import "testing"

func TestNameNamesAProcess(t *testing.T) {
	m := Member{ID: "n1a2b", Incarnation: 1_764_000_000_000}
	name := m.Name()
	if NodeOf(name) != m.ID {
		t.Errorf("%q is a name of %q", name, NodeOf(name))
	}
	m.Incarnation++
	if m.Name() == name {
		t.Errorf("two processes are called %q", name)
	}
	if NodeOf("n1a2b") != "n1a2b" || NodeOf("") != "" {
		t.Error("an ID alone names another node")
	}
}
