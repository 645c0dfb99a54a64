package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/persistence"
)

// reading is what an operator has this node read of its store, all of it: one at
// a time, so that clients keep the disk and the CPU.
type reading struct {
	node *Node
	busy atomic.Bool
}

// streamWrite bounds how long the reader of a stream may take nothing.
const streamWrite = 30 * time.Second

var errReading = messages.ErrOverloaded.With("a backup or a check of this node is under way: wait for its end").After(10 * time.Second)

// begin is false, and the answer is given, while another one is under way.
func (s *reading) begin(w http.ResponseWriter) bool {
	if !s.busy.CompareAndSwap(false, true) {
		front.WriteError(w, errReading)
		return false
	}
	return true
}

func (s *reading) end() { s.busy.Store(false) }

// backup serves GET /admin/v1/backup?part=1&of=3: this node's part of a backup,
// as persistence.Store.Backup writes it. When it fails on the way the connection
// is cut.
func (s *reading) backup(w http.ResponseWriter, r *http.Request) {
	head, err := s.head(r)
	if err != nil {
		front.WriteError(w, err)
		return
	}
	if !s.begin(w) {
		return
	}
	defer s.end()
	began := time.Now()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	count, err := s.node.store.Backup(r.Context(), newStream(w), head, nil)
	if err != nil {
		s.node.log.Warn("a backup was not finished", "error", err, "users", count.Users)
		panic(http.ErrAbortHandler) // what was sent is not whole, and must not look so
	}
	s.node.log.Info("backup", "users", count.Users, "policies", count.Policies, "bytes", count.Bytes,
		"seconds", time.Since(began).Seconds(), "to", r.RemoteAddr)
}

// head reads which part of a backup is wanted; by default it is the only one.
func (s *reading) head(r *http.Request) (persistence.BackupHead, error) {
	h := persistence.BackupHead{Part: 1, Of: 1}
	if s.node.cluster != nil {
		h.Cluster = s.node.cluster.name
	}
	q := r.URL.Query()
	for name, n := range map[string]*int{"part": &h.Part, "of": &h.Of} {
		if text := q.Get(name); text != "" {
			var err error
			if *n, err = strconv.Atoi(text); err != nil {
				return h, messages.ErrBadRequest.With(name + " must be a number")
			}
		}
	}
	if h.Part < 1 || h.Of < h.Part || h.Of > persistence.MaxBackupParts {
		return h, messages.ErrBadRequest.With("part must be from 1 to of, and of at most " + strconv.Itoa(persistence.MaxBackupParts))
	}
	return h, nil
}

// stream is an answer of any length to a reader that must keep taking it.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w, http.NewResponseController(w)}
	_ = s.rc.SetReadDeadline(time.Time{}) // the request is read; the server's would end the answer
	return s
}

func (s *stream) Write(b []byte) (int, error) {
	if err := s.rc.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return s.w.Write(b)
}
