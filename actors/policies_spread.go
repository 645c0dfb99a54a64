package actors

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// Every node stores and knows every tenant's policy. A change is sent to all at
// once; what a node has missed it learns when sums are compared, every few
// seconds, and when it meets a member for the first time.

// policiesPerPage bounds one message.
const policiesPerPage = 200

// enforce puts a stored policy in force on this node.
func (s *System) enforce(p presence.Policy) {
	if s.policies.put(p) {
		s.node.Each(cluster.UserKind, &messages.Recheck{Tenant: p.Tenant[:]})
	}
}

// spreadPolicy sends a policy to every other member and says once, with nil, that
// one of them has stored it, or that nobody has.
func (s *System) spreadPolicy(p *messages.Policy, safe func(error)) {
	var others []string
	for _, m := range s.node.Table().Members {
		if m.ID != s.node.ID {
			others = append(others, m.ID)
		}
	}
	if len(others) == 0 {
		safe(nil)
		return
	}
	var once sync.Once
	var left atomic.Int64
	left.Store(int64(len(others)))
	for _, id := range others {
		page := &messages.Policies{Policies: []*messages.Policy{p}}
		s.node.AskNode(id, page, controlTime, func(a any, err error) {
			stored, ok := a.(*messages.PoliciesStored)
			if err == nil && ok && stored.Error.Err() == nil {
				once.Do(func() { safe(nil) })
			} else {
				s.metrics.dropped.Inc() // the sums tell
			}
			if left.Add(-1) == 0 {
				once.Do(func() { safe(messages.ErrTimeout) })
			}
		})
	}
}

// comparePolicies asks every other member for what this node does not know.
func (s *System) comparePolicies() {
	for _, m := range s.node.Table().Members {
		if m.ID != s.node.ID {
			s.askPolicies(m.ID, nil)
		}
	}
}

func (s *System) askPolicies(member string, after []byte) {
	m := &messages.PolicyDigest{Sum: s.policies.sum(), After: after}
	s.node.AskNode(member, m, controlTime, func(a any, err error) {
		page, ok := a.(*messages.Policies)
		if err != nil || !ok {
			return // the next one finds it
		}
		s.learn(page, func(error) {})
		if n := len(page.Policies); page.More && n > 0 {
			s.askPolicies(member, page.Policies[n-1].Tenant)
		}
	})
}

// learn stores policies of other nodes that are newer than what is known, and
// puts them in force. It says when that is done, with one of the errors.
func (s *System) learn(page *messages.Policies, done func(error)) {
	var left atomic.Int64
	var failed atomic.Pointer[error]
	left.Store(int64(len(page.Policies)) + 1)
	end := func(err error) {
		if err != nil {
			failed.Store(&err)
		}
		if left.Add(-1) > 0 {
			return
		}
		if err := failed.Load(); err != nil {
			done(*err)
			return
		}
		done(nil)
	}
	defer end(nil)
	for _, m := range page.Policies {
		p, err := messages.ToPolicy(m)
		if err == nil {
			err = p.Check()
		}
		if err != nil {
			s.metrics.dropped.Inc()
			end(err)
			continue
		}
		if s.policies.of(p.Tenant).Version >= p.Version {
			end(nil)
			continue
		}
		s.store.CommitPolicy(p, func(err error) {
			if err != nil {
				s.metrics.storeErrors.Inc() // the next comparison tries again
			} else {
				s.enforce(p)
			}
			end(storeError(err))
		})
	}
}

// policiesAfter answers a digest.
func (s *System) policiesAfter(m *messages.PolicyDigest) proto.Message {
	page := &messages.Policies{}
	if len(m.After) == 0 && m.Sum == s.policies.sum() {
		return page
	}
	table := *s.policies.table.Load()
	tenants := slices.SortedFunc(maps.Keys(table), func(a, b presence.TenantID) int { return bytes.Compare(a[:], b[:]) })
	for _, t := range tenants {
		if bytes.Compare(t[:], m.After) <= 0 {
			continue
		}
		if len(page.Policies) == policiesPerPage {
			page.More = true
			break
		}
		p, err := messages.FromPolicy(table[t].Policy)
		if err != nil {
			s.metrics.dropped.Inc()
			continue
		}
		page.Policies = append(page.Policies, p)
	}
	return page
}

// sum is the same on two nodes that know the same policies.
func (p *policies) sum() (sum uint64) {
	for t, own := range *p.table.Load() {
		sum += spread(presence.UserID{Tenant: t}.Hash() ^ spread(uint64(own.Version)))
	}
	return sum
}
