package persistence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// CheckConfig is what a check knows beside the store. The zero value is for a
// store that nobody serves.
type CheckConfig struct {
	// Mine says whether this node looks after the users of a shard; nil: of all.
	Mine func(shard uint16) bool
	// Awake says whether a user is in memory, where its sessions end by
	// themselves; nil: nobody is.
	Awake func(u presence.UserID) bool
	// Progress, which may be nil, is called often with the users so far.
	Progress func(users int)
}

// CheckReport is what is in a store and what is wrong with it. Each list has at
// most maxFindings entries; the number beside it counts all.
type CheckReport struct {
	Node     uint64 `json:"node,string"`
	Shards   int    `json:"shards"` // of which something is stored
	Users    int    `json:"users"`
	Sessions int    `json:"sessions"` // live by what is stored; renewals are not
	Leased   int    `json:"leased"`   // that live with a device and have not ended
	Lists    int    `json:"lists"`    // live ones
	Blocks   int    `json:"blocks"`   // live ones
	Expired  int    `json:"expired"`  // elements that are over and wait to be removed
	Cleared  int    `json:"cleared"`  // elements that remember that they were cleared
	Policies int    `json:"policies"`
	Feed     int    `json:"feed"` // changes in the feed
	Waking   int    `json:"waking"`

	Orphans      int      `json:"orphans"` // values that no read would find
	OrphanKeys   []string `json:"orphanKeys,omitempty"`
	Ghosts       int      `json:"ghosts"` // leased sessions that nothing would end
	GhostUsers   []string `json:"ghostUsers,omitempty"`
	Ahead        int      `json:"ahead"` // users with a version from the future
	AheadUsers   []string `json:"aheadUsers,omitempty"`
	WrongDigests int      `json:"wrongDigests"` // shards whose digest is not that of their content
	WrongShards  []uint16 `json:"wrongShards,omitempty"`
}

// maxFindings bounds each list of a report.
const maxFindings = 20

// ErrCheck is the outcome of a check that has found something wrong.
var ErrCheck = errors.New("persistence: the check has found something wrong")

// err is nil for a report without findings.
func (r *CheckReport) err() error {
	if r.Orphans+r.Ghosts+r.Ahead+r.WrongDigests == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d orphans, %d ghosts, %d users from the future, %d wrong digests",
		ErrCheck, r.Orphans, r.Ghosts, r.Ahead, r.WrongDigests)
}

// Wrong says whether the report has findings.
func (r *CheckReport) Wrong() bool { return r.err() != nil }

// overdue is how long after its time a user should have been woken.
const overdue = 2 * time.Minute

// Check reads everything in the store, which verifies every checksum, and counts
// it, in the caller's goroutine and from one moment's view. Then it computes the
// digest of every shard anew. Commits go on meanwhile; Close waits for the end.
func (s *Store) Check(ctx context.Context, c CheckConfig) (CheckReport, error) {
	k := &check{cfg: c, now: s.cfg.Now(), report: CheckReport{Node: s.Node()}}
	err := s.view(func(txn *badger.Txn) error {
		if err := k.keys(ctx, txn); err != nil {
			return err
		}
		return walk(ctx, txn, k.user)
	})
	if err == nil {
		err = s.checkDigests(ctx, k)
	}
	return k.report, err
}

// check is one under way.
type check struct {
	cfg    CheckConfig
	now    time.Time
	report CheckReport
	has    [presence.Shards]bool
}

// keys looks at every key and verifies what is of no user.
func (k *check) keys(ctx context.Context, txn *badger.Txn) error {
	it := keysOf(txn, nil)
	defer it.Close()
	for it.Rewind(); it.Valid() && ctx.Err() == nil; it.Next() {
		item := it.Item()
		switch kind(item.Key()[0]) {
		case kindPresence, kindWatch, kindBlock:
			continue // by user
		case kindPolicy:
			k.report.Policies++
		case kindFeed:
			k.report.Feed++
		case kindMeta, kindFeedIndex:
		default:
			k.orphan(fmt.Sprintf("%x", item.Key()))
		}
		if err := open(item, func([]byte) error { return nil }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (k *check) orphan(what string) {
	k.report.Orphans++
	if len(k.report.OrphanKeys) < maxFindings {
		k.report.OrphanKeys = append(k.report.OrphanKeys, what)
	}
}

// user counts what is stored of one user.
func (k *check) user(w *walked) error {
	r := &k.report
	if r.Users++; k.cfg.Progress != nil && r.Users%progressEvery == 0 {
		k.cfg.Progress(r.Users)
	}
	if !k.has[w.shard] {
		k.has[w.shard] = true
		r.Shards++
	}
	if w.shard != w.user.Shard() {
		k.orphan(fmt.Sprintf("%s in shard %d", w.user, w.shard))
	}
	if !w.stored.Wake.IsZero() {
		r.Waking++
	}
	c := w.copy()
	if k.ahead(&c) {
		r.Ahead++
		r.AheadUsers = few(r.AheadUsers, w.user)
	}
	leased := 0
	for i := range c.Elements {
		leased += k.element(w, &c.Elements[i])
	}
	r.Leased += leased
	if leased > 0 && k.forgotten(w) {
		r.Ghosts += leased
		r.GhostUsers = few(r.GhostUsers, w.user)
	}
	return nil
}

func few(list []string, u presence.UserID) []string {
	if len(list) < maxFindings {
		list = append(list, u.String())
	}
	return list
}

// ahead says whether a user has a version that no right clock has given yet.
func (k *check) ahead(c *Commit) bool {
	newest := c.Version
	for i := range c.Elements {
		newest = max(newest, c.Elements[i].Stamp.Version)
	}
	return newest.Millis()-k.now.UnixMilli() > presence.MaxAhead.Milliseconds()
}

// element counts one; it is 1 for a session that lives with a device.
func (k *check) element(w *walked, e *presence.Element) (leased int) {
	r := &k.report
	kind, _ := e.Key.Split()
	if s, ok := e.Value.(presence.Session); ok && s.Leased {
		leased = 1
	}
	switch {
	case e.Value == nil:
		r.Cleared++
	case !e.Live(k.now) && leased == 0:
		r.Expired++
	case kind == presence.KindSession:
		r.Sessions++
	case kind == presence.KindWatch:
		r.Lists++
	case kind == presence.KindBlock:
		r.Blocks++
		if !w.stored.Blocks {
			k.orphan(fmt.Sprintf("%s of %s", e.Key, w.user))
		}
	}
	return leased
}

// forgotten says that nobody will look at a user's sessions any more: whoever
// serves it has not been told to, or should have long ago.
func (k *check) forgotten(w *walked) bool {
	if k.cfg.Mine != nil && !k.cfg.Mine(w.shard) {
		return false
	}
	if k.cfg.Awake == nil { // the next start wakes whoever is to be woken
		return w.stored.Wake.IsZero()
	}
	late := w.stored.Wake.IsZero() || k.now.Sub(w.stored.Wake) > overdue
	return late && !k.cfg.Awake(w.user)
}
