package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// Types of memberlist's messages.
const (
	aliveMessage    = 4
	pushPullMessage = 6
	compressMessage = 9
	labelHeader     = 244
)

func labelled(label string, b ...byte) []byte {
	return append(append([]byte{labelHeader, byte(len(label))}, label...), b...)
}

// aliveOf is memberlist's message that a member lives, in MessagePack.
func aliveOf(name string, ip net.IP, port uint16, meta []byte, versions ...byte) []byte {
	raw := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(s))), s...)
	}
	number := func(b []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(append(b, 0xce), n) }
	b := []byte{aliveMessage, 0x86}
	b = number(raw(b, "Incarnation"), 1)
	b = raw(raw(b, "Node"), name)
	b = raw(raw(b, "Addr"), string(ip))
	b = number(raw(b, "Port"), uint32(port))
	b = raw(raw(b, "Meta"), string(meta))
	b = raw(raw(b, "Vsn"), string(versions))
	return labelled("test", b...)
}

func sendTo(t *testing.T, network, addr string, b []byte) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(b); err != nil {
		return // it was cut off: that is an answer too
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		_, _ = c.Read(make([]byte, 1<<10))
	}
}

func TestRubbishIsRefused(t *testing.T) {
	versions := []byte{1, 5, 2, 0, 0, 0}
	ip := net.IPv4(127, 0, 2, 99).To4()
	meta := mustEncode(t, "test", testMember(9, 1))
	ancient := appendNumber(appendText([]byte{metaFormat}, tagCluster, "test"), tagIncarnation, 1)
	dice := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(dice.Uint32())
		}
		return b
	}
	for _, c := range []struct {
		name    string
		network string
		bytes   []byte
		reason  string
	}{
		{"no label", "udp", []byte("GET / HTTP/1.1\r\n\r\n"), reasonCluster},
		{"another label", "udp", labelled("other", 0), reasonCluster},
		{"half a label", "udp", []byte{labelHeader, 200, 'a'}, reasonGarbage},
		{"unknown message", "udp", labelled("test", 99), reasonGarbage},
		{"broken message", "udp", labelled("test", append([]byte{aliveMessage, 0xdf}, noise(200)...)...), reasonGarbage},
		{"broken compression", "udp", labelled("test", append([]byte{compressMessage}, noise(200)...)...), reasonGarbage},
		{"noise", "udp", labelled("test", append([]byte{77}, noise(40<<10)...)...), reasonGarbage},
		{"no label", "tcp", []byte("GET / HTTP/1.1\r\n\r\n"), reasonCluster},
		{"another label", "tcp", labelled("other", 0), reasonCluster},
		{"half a label", "tcp", []byte{labelHeader, 200, 'a'}, reasonGarbage},
		{"unknown message", "tcp", labelled("test", 99), reasonGarbage},
		{"broken state", "tcp", labelled("test", append([]byte{pushPullMessage, 0xdf}, noise(5000)...)...), reasonGarbage},
		{"nested state", "tcp", labelled("test", append([]byte{pushPullMessage, 0x81, 0xa1, 'X'},
			bytes.Repeat([]byte{0x91}, maxStreamBytes-100)...)...), reasonGarbage},
		{"too much", "tcp", labelled("test", append([]byte{pushPullMessage, 0xdb, 0x7f, 0xff, 0xff, 0xff},
			make([]byte, maxStreamBytes)...)...), reasonGarbage},
		{"broken compression", "tcp", labelled("test", append([]byte{compressMessage}, noise(5000)...)...), reasonGarbage},
		{"no description", "udp", aliveOf("n09#1", ip, 1, nil, versions...), reasonMeta},
		{"endless description", "udp", aliveOf("n09#1", ip, 1, noise(30<<10), versions...), reasonMeta},
		{"long description", "udp", aliveOf("n09#1", ip, 1, append(meta, appendText(nil, 99, strings.Repeat("x", 600))...),
			versions...), reasonMeta},
		{"hostile description", "udp", aliveOf("n09#1", ip, 1, noise(500), versions...), reasonMeta},
		{"another name", "udp", aliveOf("n08#1", ip, 1, meta, versions...), reasonMeta},
		{"hostile name", "udp", aliveOf(string(noise(1000)), ip, 1, meta, versions...), reasonMeta},
		{"another cluster", "udp", aliveOf("n09#1", ip, 1, mustEncode(t, "other", testMember(9, 1)), versions...), reasonCluster},
		{"protocol 0", "udp", aliveOf("#1", ip, 1, ancient, versions...), reasonProtocol},
		{"no address", "udp", aliveOf("n09#1", net.IPv4zero.To4(), 1, meta, versions...), reasonAddress},
		{"many hosts", "udp", aliveOf("n09#1", net.IPv4bcast.To4(), 1, meta, versions...), reasonAddress},
		{"memberlist of the future", "udp", aliveOf("n09#1", ip, 1, meta, 9, 9, 9, 0, 0, 0), reasonProtocol},
		{"memberlist of the past", "udp", aliveOf("n09#1", ip, 1, meta, 0, 0, 0, 0, 0, 0), reasonProtocol},
		{"another member's name", "udp", aliveOf("n01#1", ip, 1, mustEncode(t, "test", testMember(1, 1)), versions...), reasonConflict},
	} {
		t.Run(c.network+" "+c.name, func(t *testing.T) {
			t.Parallel()
			all := realCluster(t, 2, nil)
			const times = 5
			for range times {
				sendTo(t, c.network, all[0].Addr(), c.bytes)
			}
			eventually(t, 5*time.Second, "counted as "+c.reason, func() bool { return refused(t, all[0], c.reason) >= times })
			if n := all[0].log.count("refused what came"); n != 1 {
				t.Errorf("logged %d times, want once", n)
			}
			if len(all[0].ids()) != 2 {
				t.Errorf("members are %v", all[0].ids())
			}
			third := startReal(t, 2, func(c *Config, _ *tuning) { c.Join = []string{all[0].Addr()} })
			together(t, 10*time.Second, append(all, third)...)
		})
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	good := keyFile(t, "", newKey(t))
	all := realCluster(t, 2, func(c *Config, _ *tuning) { c.Keys = good })
	for name, keys := range map[string]string{"another key": keyFile(t, "", newKey(t)), "no key": ""} {
		before := refused(t, all[0], reasonKey)
		stranger := startReal(t, 5, func(c *Config, _ *tuning) { c.Keys, c.Join = keys, []string{all[0].Addr()} })
		eventually(t, 5*time.Second, name+" is counted", func() bool { return refused(t, all[0], reasonKey) > before })
		eventually(t, 5*time.Second, name+" is told why", func() bool {
			return strings.Contains(stranger.Status().LastJoin, "gossip key")
		})
		if err := stranger.Ready(); err == nil || !strings.Contains(err.Error(), "no seed") {
			t.Errorf("ready: %v", err)
		}
		if len(stranger.ids()) > 0 {
			t.Errorf("with %s it names %v", name, stranger.ids())
		}
		sendTo(t, "udp", all[0].Addr(), aliveOf("n09#1", net.IPv4(127, 0, 2, 99).To4(), 1, nil, 1, 5, 2, 0, 0, 0))
		stranger.abrupt(t)
	}
	together(t, time.Second, all...)
}

func TestAnotherClusterIsRefused(t *testing.T) {
	all := realCluster(t, 2, nil)
	stranger := startReal(t, 5, func(c *Config, _ *tuning) { c.Cluster, c.Join = "other", []string{all[0].Addr()} })
	eventually(t, 5*time.Second, "counted", func() bool { return refused(t, all[0], reasonCluster) > 0 })
	eventually(t, 5*time.Second, "told why", func() bool {
		return strings.Contains(stranger.Status().LastJoin, "cluster's name")
	})
	together(t, time.Second, all...)
}

// TestRogueMember joins by the library itself with a description of its own.
func TestRogueMember(t *testing.T) {
	all := realCluster(t, 2, nil)
	rogue := startRogue(t, "127.0.2.50")
	if _, err := rogue.Join([]string{all[0].Addr()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "counted", func() bool { return refused(t, all[0], reasonMeta) > 0 })
	together(t, time.Second, all...)

	// Seen from a node that would join it, there is no cluster.
	other := startRogue(t, "127.0.2.51").LocalNode().Address()
	alone := startReal(t, 6, func(c *Config, _ *tuning) { c.Join = []string{other} })
	eventually(t, 5*time.Second, "told why", func() bool {
		return strings.Contains(alone.Status().LastJoin, errMeta.Error())
	})
	if alone.Ready() == nil || len(alone.ids()) > 0 {
		t.Errorf("it joined a rogue: %v", alone.ids())
	}
}

func startRogue(t *testing.T, at string) *memberlist.Memberlist {
	t.Helper()
	c := memberlist.DefaultLocalConfig()
	c.Name, c.Label, c.BindAddr, c.BindPort, c.LogOutput = "rogue", "test", at, 0, &journal{}
	m, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Shutdown() })
	return m
}

func TestStreamsAreBounded(t *testing.T) {
	all := realCluster(t, 2, nil)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range 2 * maxHostStreams {
		c, err := net.Dial("tcp", all[0].Addr())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	eventually(t, 5*time.Second, "refused", func() bool { return refused(t, all[0], reasonStreams) >= maxHostStreams })
	third := startReal(t, 2, func(c *Config, _ *tuning) { c.Join = []string{all[0].Addr()} }) // from another address
	together(t, 10*time.Second, append(all, third)...)
	if n := refused(t, all[0], reasonCluster); n != 0 {
		t.Errorf("%v silent connections count as of another cluster", n)
	}
	if text := fmt.Sprint(all[0].Ready()); text != "<nil>" {
		t.Error(text)
	}
}
