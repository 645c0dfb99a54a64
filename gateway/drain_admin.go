package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"rollcall/gateway/front"
)

// drainWrite bounds how long the reader of a drain's progress may take nothing.
const drainWrite = 5 * time.Second

// drain serves POST /admin/v1/drain. With ?wait the answer is a line of JSON a
// second, a DrainStatus each, until the drain is over; without it is the first
// of them. The drain goes on when the caller is gone.
func (s *server) drain(w http.ResponseWriter, r *http.Request) {
	n := s.node
	if !r.URL.Query().Has("wait") {
		n.BeginDrain()
		front.WriteJSON(w, http.StatusAccepted, n.drainStatus())
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the body is read; the server's would end the wait
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = n.Drain(r.Context(), func(d DrainStatus) { // its end is in the last line
		line, _ := json.Marshal(d) // strings and numbers
		_ = rc.SetWriteDeadline(time.Now().Add(drainWrite))
		if _, err := w.Write(append(line, '\n')); err == nil {
			_ = rc.Flush() // a reader that is gone misses nothing
		}
	})
}
