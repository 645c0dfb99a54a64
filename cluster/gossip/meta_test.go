package gossip

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"rollcall/cluster/topology"
)

func TestDescriptionsComeBack(t *testing.T) {
	largest := topology.Member{
		ID: strings.Repeat("i", maxID), Incarnation: math.MaxUint64, Addr: strings.Repeat("h", maxAddr-6) + ":65535",
		Zone: strings.Repeat("z", maxZone), Roles: knownRoles, Leaving: true, Protocol: 1 << 31,
		URL: "https://" + strings.Repeat("u", maxURL-8),
	}
	for _, m := range []topology.Member{
		testMember(1, 1),
		{ID: "a", Incarnation: 1, Addr: "[::1]:1", Protocol: 1},
		{ID: "a", Incarnation: 1, Addr: "node-1.example:8101", Roles: topology.Gateway, Protocol: 2, Leaving: true},
		largest,
	} {
		cluster := strings.Repeat("c", maxCluster)
		b, err := encode(cluster, m)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > memberlist.MetaMaxSize {
			t.Errorf("%d bytes, more than memberlist allows", len(b))
		}
		if got, err := decode(cluster, b); err != nil || got != m {
			t.Errorf("got %+v, %v, want %+v", got, err, m)
		}
	}
}

func TestBadMembersAreNotDescribed(t *testing.T) {
	for name, spoil := range map[string]func(*topology.Member){
		"no id":                   func(m *topology.Member) { m.ID = "" },
		"long id":                 func(m *topology.Member) { m.ID = strings.Repeat("i", maxID+1) },
		"id with a mark":          func(m *topology.Member) { m.ID = "a#1" },
		"id with a line":          func(m *topology.Member) { m.ID = "a\nb" },
		"no incarnation":          func(m *topology.Member) { m.Incarnation = 0 },
		"no protocol":             func(m *topology.Member) { m.Protocol = 0 },
		"unknown role":            func(m *topology.Member) { m.Roles = 128 },
		"no address":              func(m *topology.Member) { m.Addr = "" },
		"every address":           func(m *topology.Member) { m.Addr = "0.0.0.0:1" },
		"many hosts":              func(m *topology.Member) { m.Addr = "224.0.0.1:1" },
		"port 0":                  func(m *topology.Member) { m.Addr = "10.0.0.1:0" },
		"address with a space":    func(m *topology.Member) { m.Addr = "a b:1" },
		"long address":            func(m *topology.Member) { m.Addr = strings.Repeat("h", maxAddr) + ":1" },
		"zone with a slash":       func(m *topology.Member) { m.Zone = "eu/1" },
		"long zone":               func(m *topology.Member) { m.Zone = strings.Repeat("z", maxZone+1) },
		"URL of another kind":     func(m *topology.Member) { m.URL = "javascript:alert(1)" },
		"URL with a password":     func(m *topology.Member) { m.URL = "http://a:b@c" },
		"URL with a line":         func(m *topology.Member) { m.URL = "http://a/\x00" },
		"URL without a host":      func(m *topology.Member) { m.URL = "http:///a" },
		"URL that is too long":    func(m *topology.Member) { m.URL = "http://" + strings.Repeat("u", maxURL) },
		"URL with no ASCII in it": func(m *topology.Member) { m.URL = "http://ü" },
	} {
		m := testMember(1, 1)
		spoil(&m)
		if _, err := encode("test", m); err == nil {
			t.Errorf("%s: %+v was described", name, m)
		}
	}
	for _, cluster := range []string{"", "A", "a b", strings.Repeat("c", maxCluster+1)} {
		if _, err := encode(cluster, testMember(1, 1)); err == nil {
			t.Errorf("cluster %q was taken", cluster)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := encode("test", testMember(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	field := func(tag byte, value string) []byte { return appendText(nil, tag, value) }
	with := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	for name, c := range map[string]struct {
		meta []byte
		want error
	}{
		"nothing":             {nil, errMeta},
		"another format":      {with([]byte{2}, good[1:]), errMeta},
		"cut":                 {good[:len(good)-3], errMeta},
		"length of 2^63":      {with(good, []byte{200, 255, 255, 255, 255, 255, 255, 255, 255, 127}), errMeta},
		"length without end":  {with(good, []byte{200, 255}), errMeta},
		"a field twice":       {with(good[:1], field(tagCluster, "test"), good[1:]), errMeta},
		"fields out of order": {with([]byte{metaFormat}, field(tagID, "a"), field(tagCluster, "test")), errMeta},
		"a number too long":   {with([]byte{metaFormat}, field(tagIncarnation, "\x01\x01")), errMeta},
		"another cluster":     {mustEncode(t, "other", testMember(1, 1)), errCluster},
		"no cluster":          {with([]byte{metaFormat}, field(tagID, "a"), appendNumber(nil, tagProtocol, 1)), errCluster},
		"protocol 0":          {with([]byte{metaFormat}, field(tagCluster, "test"), field(tagID, "a")), errProtocol},
		"hostile id": {with([]byte{metaFormat}, field(tagCluster, "test"), field(tagID, "a\x1b[2J"),
			appendNumber(nil, tagIncarnation, 1), field(tagAddr, "a:1"), appendNumber(nil, tagProtocol, 1)), errMeta},
	} {
		if m, err := decode("test", c.meta); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", name, m, err, c.want)
		}
	}
	newer := with(good, field(77, "what is that"), field(200, ""), appendNumber(nil, 201, 5))
	if m, err := decode("test", newer); err != nil || m != testMember(1, 1) {
		t.Errorf("with fields of a newer member: %+v, %v", m, err)
	}
}

func mustEncode(t testing.TB, cluster string, m topology.Member) []byte {
	t.Helper()
	b, err := encode(cluster, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzDecode(f *testing.F) {
	f.Add(mustEncode(f, "test", testMember(1, 1)))
	f.Add(mustEncode(f, "test", topology.Member{ID: "a", Incarnation: 1 << 60, Addr: "[fe80::1]:9", Protocol: 3, Leaving: true}))
	f.Add([]byte{metaFormat, 200, 255, 255, 255, 255, 255, 255, 255, 255, 127})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode("test", b)
		if err != nil {
			return
		}
		again, err := decode("test", mustEncode(t, "test", m)) // what is taken in can be told
		if err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}
