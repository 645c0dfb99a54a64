package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"rollcall/gateway/front"
	"rollcall/persistence"
	"rollcall/presence"
)

// CheckLine is a line of the answer of GET /admin/v1/check: one a second while
// the node reads its store, and the last one, which has Report or Error.
type CheckLine struct {
	Users  int                      `json:"users"` // read so far
	Report *persistence.CheckReport `json:"report,omitempty"`
	Error  string                   `json:"error,omitempty"`
}

// DigestReport is the answer of GET /admin/v1/digests: what a node's shards are
// like, to be held against what other nodes say.
type DigestReport struct {
	Cluster   string        `json:"cluster,omitempty"`
	Self      string        `json:"self"`
	TableHash string        `json:"tableHash"`
	Settled   bool          `json:"settled"` // no shard is being handed over or taken
	Endpoints int           `json:"endpoints"`
	Shards    []ShardDigest `json:"shards"` // those that the node is to hold, or has something of
}

// ShardDigest is the digest of a shard. Those of two holders are equal when they
// have the same.
type ShardDigest struct {
	Shard  int    `json:"shard"`
	Holder bool   `json:"holder"`         // the node is to hold it
	Of     int    `json:"of"`             // nodes that are to hold it
	Root   string `json:"root,omitempty"` // empty: not known yet
}

// checkTold is how often who waits for a check is told of it.
const checkTold = time.Second

// check serves GET /admin/v1/check: it reads the whole store.
func (s *reading) check(w http.ResponseWriter, r *http.Request) {
	if !s.begin(w) {
		return
	}
	defer s.end()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := newStream(w)
	told := time.Now()
	var gone error
	tell := func(l CheckLine) {
		line, _ := json.Marshal(l) // numbers and strings
		if _, err := out.Write(append(line, '\n')); err != nil {
			gone = err
			return
		}
		gone = out.rc.Flush()
	}
	n := s.node
	owned := n.actors.Owned()
	report, err := n.store.Check(r.Context(), persistence.CheckConfig{
		Mine:  owned.Has,
		Awake: func(u presence.UserID) bool { return n.actors.Awake(u) },
		Progress: func(users int) {
			if time.Since(told) >= checkTold && gone == nil {
				told = time.Now()
				tell(CheckLine{Users: users})
			}
		},
	})
	last := CheckLine{Users: report.Users, Report: &report}
	if err != nil {
		last = CheckLine{Users: report.Users, Error: err.Error()}
	}
	tell(last)
}

// digests serves GET /admin/v1/digests. It takes no time.
func (s *reading) digests(w http.ResponseWriter, _ *http.Request) {
	n := s.node
	c := n.actors.Cluster()
	report := DigestReport{
		Self: n.self.ID, TableHash: fmt.Sprintf("%016x", c.Table.Hash()), Settled: c.Settled,
		Endpoints: n.actors.Interest().Endpoints, Shards: []ShardDigest{},
	}
	if n.cluster != nil {
		report.Cluster = n.cluster.name
	}
	for shard := range uint16(presence.Shards) {
		d := ShardDigest{Shard: int(shard)}
		for _, m := range c.Table.ReplicaSet(shard) {
			d.Of++
			d.Holder = d.Holder || m.ID == n.self.ID
		}
		root, known := n.store.Root(shard)
		if known {
			d.Root = fmt.Sprintf("%016x", root)
		}
		if d.Holder || root != 0 || !known {
			report.Shards = append(report.Shards, d)
		}
	}
	front.WriteJSON(w, http.StatusOK, report)
}
