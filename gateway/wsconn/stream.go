package wsconn

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Stream is an endless HTTP/1.1 answer, made for server-sent events. It has
// the outbox of a Conn. Its methods never wait for the peer.
type Stream struct {
	socket
}

// maxStreamInput is what a peer may send on a stream before it is cut off: it
// has nothing to say after its request.
const maxStreamInput = 4 << 10

// HijackStream takes the connection over from net/http and queues and flushes
// the head of a 200 answer with the given headers. The body has no length and
// no chunks and ends with the connection. On an error the HTTP answer has been
// written: 505 where the connection cannot be taken over, as with HTTP/2.
//
// The stream's own goroutine watches for the peer's end; the caller must call
// Close when it no longer needs the stream.
func HijackStream(w http.ResponseWriter, r *http.Request, header http.Header) (*Stream, error) {
	return hijackStream(w, r, header, &Config{})
}

func hijackStream(w http.ResponseWriter, r *http.Request, header http.Header, c *Config) (*Stream, error) {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 {
		return nil, refuseStream(w, nil)
	}
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, refuseStream(w, err)
	}
	s := new(Stream)
	s.open(nc, c)
	if err := s.Queue(streamHead(header)); err != nil {
		return nil, errors.Join(fmt.Errorf("wsconn: answer head: %w", err), nc.Close())
	}
	s.Flush()
	go s.watch()
	return s, nil
}

func refuseStream(w http.ResponseWriter, cause error) error {
	refused := &HandshakeError{http.StatusHTTPVersionNotSupported, "an event stream needs HTTP/1.1"}
	refused.write(w)
	return errors.Join(refused, cause)
}

// streamHead renders the status line and the headers; ours win over the
// caller's where the framing depends on them.
func streamHead(header http.Header) []byte {
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	for name, value := range map[string]string{
		"Content-Type":  "text/event-stream",
		"Cache-Control": "no-store",
		"Date":          time.Now().UTC().Format(http.TimeFormat),
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
	h.Del("Content-Length")
	h.Del("Transfer-Encoding")
	h.Set("Connection", "close")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	head := bytes.NewBufferString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(head) // a bytes.Buffer takes everything
	head.WriteString("\r\n")
	return head.Bytes()
}

// Queue copies event, which must be framed as the stream's content type asks,
// behind what is queued already. It never writes. It returns ErrSlow when the
// limit of 256 KiB would be exceeded and ErrClosed when the stream ends.
func (s *Stream) Queue(event []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(len(event), false); err != nil {
		return err
	}
	*s.out = append(*s.out, event...)
	return nil
}

// Close ends the stream behind what is queued and returns at once. The peer
// has 2 s to take it, then the TCP connection is closed.
func (s *Stream) Close() {
	if s.sealed.Swap(true) {
		return
	}
	s.Flush()
	_ = s.nc.SetReadDeadline(time.Unix(1, 0)) // wakes watch; a closed socket needs no waking
}

// watch waits for the peer's end or for Close.
func (s *Stream) watch() {
	defer s.end()
	heard := 0
	_ = s.read(func(chunk []byte) bool { // any end is the end
		heard += len(chunk)
		return heard <= maxStreamInput
	})
	if !s.sealed.Swap(true) {
		return
	}
	s.mu.Lock()
	s.endWithin(s.closeWait)
	s.mu.Unlock()
	s.linger()
}
