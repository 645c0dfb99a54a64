package peers

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Connections that send nothing, or a byte now and then, are closed within the
// time of a handshake and keep nobody else waiting.
func TestSlowConnections(t *testing.T) {
	dirs := secrets(t, "test", time.Hour, "a", "b")
	for name, s := range map[string][2]childSettings{
		"plain": {{ID: "a"}, {ID: "b"}},
		"tls":   {{ID: "a", Secrets: dirs["a"]}, {ID: "b", Secrets: dirs["b"]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := startProcess(t, s[0]), startProcess(t, s[1])
			var open sync.WaitGroup
			for i := range 100 {
				conn, err := net.Dial("tcp", b.addr)
				if err != nil {
					t.Fatal(err)
				}
				open.Go(func() { trickle(t, conn, i%2 == 0) })
			}
			meet(a, b)
			at := time.Now()
			a.do("send b 1000 100 wait")
			b.eventually("messages arrive", routed(1000))
			if took := time.Since(at); took > handshakeTime {
				t.Errorf("they took %v", took)
			}
			open.Wait()
			a.do("send b 10 100 wait")
			b.eventually("messages arrive", routed(1010))
			if n := strings.Count(b.log.String(), "\n"); n > 10 {
				t.Errorf("%d lines were logged:\n%s", n, b.log.String())
			}
		})
	}
}

// trickle sends the beginning of a connection byte by byte, or nothing, until
// the other side has enough.
func trickle(t *testing.T, conn net.Conn, send bool) {
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, 1024)
	for deadline := time.Now().Add(4 * handshakeTime); time.Now().Before(deadline); {
		if send {
			_, _ = conn.Write([]byte("P"))
		}
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Read(buffer); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
	}
	t.Error("a connection without a handshake stays open")
}

// A frame that is too large for an envelope, or for gRPC, is refused; what comes
// before and after it arrives.
func TestHugeFrames(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	a.do("send b 10 100 wait")
	b.eventually("messages arrive", routed(10))
	before := b.report().RSS
	for range 3 {
		a.do("huge %s %d", b.addr, maxEnvelope+1)
	}
	b.eventually("they are refused", func(r childReport) bool { return r.Refused["size"] == 3 })
	a.do("huge %s %d", b.addr, maxBatch+1)
	a.do("send b 10 100 wait")
	r := b.eventually("messages arrive", routed(20))
	if r.Disorder != 0 || r.Routed != 20 {
		t.Errorf("%+v", r)
	}
	if grown := r.RSS - before; grown > 4*maxBatch>>10 {
		t.Errorf("memory grew by %d KiB", grown)
	}
	if n := strings.Count(b.log.String(), "larger than 4 MiB"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, b.log.String())
	}
}

// A node of another cluster, and one of a version that is not spoken any more,
// are not listened to and do not disturb.
func TestNodesThatDoNotBelong(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	other := startProcess(t, childSettings{ID: "x", Cluster: "other"})
	meet(a, b)
	other.members(b)
	b.members(a, other)
	other.do("send b 100 100 drop")
	a.do("send b 100 100 wait")
	b.eventually("messages arrive", routed(100))
	for range 3 {
		a.do("old %s", b.addr)
	}
	a.do("send b 100 100 wait")
	b.eventually("messages arrive", routed(200))
	r := b.eventually("the others are refused", func(r childReport) bool {
		return r.Refused["cluster"] > 0 && r.Refused["protocol"] == 3
	})
	if r.Routed != 200 || r.Disorder != 0 {
		t.Errorf("%d messages, %d out of order", r.Routed, r.Disorder)
	}
	for _, what := range []string{"it is for another cluster", "its protocol version is too old"} {
		if n := strings.Count(b.log.String(), what); n != 1 {
			t.Errorf("%q was logged %d times:\n%s", what, n, b.log.String())
		}
	}
}

// Calls that nodes do not make of each other are refused.
func TestStrangeCalls(t *testing.T) {
	a, b := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"})
	meet(a, b)
	conn, err := grpc.NewClient(b.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, method := range []string{"/remote.Remoting/ListProcesses", "/remote.Remoting/GetProcessDiagnostics", "/x.Y/Z"} {
		if err := conn.Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{}); err == nil {
			t.Errorf("%s was answered", method)
		}
	}
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, receiveMethod)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(&emptypb.Empty{}); err == nil || !strings.Contains(err.Error(), "not the process") {
		t.Errorf("a stream that is for nobody: %v", err)
	}
	a.do("send b 10 100 wait")
	b.eventually("messages arrive", routed(10))
}
