package gateway

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/cluster/topology"
)

// meeting is a node n1 among members of whom some were reached.
type meeting struct {
	*admission
	mu       sync.Mutex
	met      map[string]bool
	known    int
	admitted [][]string
}

func meet(t *testing.T, f func(m *meeting)) {
	synctest.Test(t, func(t *testing.T) {
		m := &meeting{admission: newAdmission(slog.New(slog.DiscardHandler), "n1", time.Now), met: map[string]bool{}}
		m.start(company{
			known: func([]topology.Member) { m.known++ },
			hasMet: func(id string) bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				return m.met[id]
			},
			admit: func(list []topology.Member) {
				var ids []string
				for _, x := range list {
					ids = append(ids, x.ID)
				}
				if n := len(m.admitted); n == 0 || !slices.Equal(m.admitted[n-1], ids) {
					m.admitted = append(m.admitted, ids)
				}
			},
		})
		f(m)
		m.close()
	})
}

func (m *meeting) gossip(ids ...string) {
	var list []topology.Member
	for _, id := range ids {
		list = append(list, topology.Member{ID: id, Incarnation: 1})
	}
	m.changed(list)
	synctest.Wait()
}

func (m *meeting) reach(id string) {
	m.mu.Lock()
	m.met[id] = true
	m.mu.Unlock()
	m.admission.met(id)
	synctest.Wait()
}

func (m *meeting) last() []string {
	if n := len(m.admitted); n > 0 {
		return m.admitted[n-1]
	}
	return nil
}

func (m *meeting) want(t *testing.T, ids ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(m.last(), ids) {
		t.Errorf("admitted %v, want %v", m.last(), ids)
	}
}

func TestFirstNodeIsAlone(t *testing.T) {
	meet(t, func(m *meeting) {
		if m.ready() == nil {
			t.Error("ready before gossip has said anything")
		}
		m.gossip("n1")
		m.want(t, "n1")
		if err := m.ready(); err != nil {
			t.Error(err)
		}
		m.gossip("n1", "n2")
		m.want(t, "n1")
		m.reach("n2")
		m.want(t, "n1", "n2")
	})
}

// One who joins does not take itself for alone: it waits for all, and no longer
// than a moment.
func TestJoiningNodeWaitsForTheOthers(t *testing.T) {
	meet(t, func(m *meeting) {
		m.gossip("n1", "n2", "n3")
		m.want(t)
		m.reach("n3")
		m.want(t)
		m.reach("n2")
		m.want(t, "n1", "n2", "n3")
	})
	meet(t, func(m *meeting) {
		m.gossip("n1", "n2", "n3")
		m.reach("n3")
		time.Sleep(meetTime + meetTime/5)
		m.want(t, "n1", "n3")
		m.gossip("n1", "n3")
		m.want(t, "n1", "n3")
	})
}

// One whom nobody lets in takes nothing, and says so.
func TestStrangerServesNothing(t *testing.T) {
	meet(t, func(m *meeting) {
		m.gossip("n1", "n2", "n3")
		time.Sleep(time.Minute)
		m.want(t)
		if !errors.Is(m.ready(), errUnmet) {
			t.Errorf("ready: %v", m.ready())
		}
		if m.known != 1 {
			t.Errorf("the same list was passed on %d times", m.known)
		}
	})
}
