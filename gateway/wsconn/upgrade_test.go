package wsconn

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandshake(t *testing.T) {
	cfg := &Config{Subprotocols: []string{"rollcall.v1.json", "rollcall.v1.proto"}}
	cases := map[string]struct {
		request  string // of the good one: "old => new", each on a line; or headers to add
		status   int
		text     string // in a refusal
		protocol string
	}{
		"good":                            {status: 101},
		"query with a trailing &":         {request: "GET / => GET /?epid=1&tc=%7B%7D&", status: 101},
		"empty subprotocol header":        {request: "Sec-WebSocket-Protocol:", status: 101},
		"known subprotocol":               {request: "Sec-WebSocket-Protocol: rollcall.v1.proto", status: 101, protocol: "rollcall.v1.proto"},
		"the peer's order decides":        {request: "Sec-WebSocket-Protocol: other, rollcall.v1.proto\nSec-WebSocket-Protocol: rollcall.v1.json", status: 101, protocol: "rollcall.v1.proto"},
		"unknown subprotocol":             {request: "Sec-WebSocket-Protocol: mqtt", status: 400, text: "rollcall.v1.json"},
		"compression is not agreed":       {request: "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", status: 101},
		"connection over two lines":       {request: "Connection: keep-alive, Upgrade => Connection: keep-alive\nConnection: upgrade", status: 101},
		"own origin":                      {request: "Origin: https://rollcall.test", status: 101},
		"foreign origin":                  {request: "Origin: https://evil.test", status: 403, text: "origin"},
		"origin null":                     {request: "Origin: null", status: 403, text: "origin"},
		"two origins":                     {request: "Origin: https://rollcall.test\nOrigin: https://rollcall.test", status: 403, text: "origin"},
		"origin that is no URL":           {request: "Origin: https://%zz", status: 403, text: "origin"},
		"POST":                            {request: "GET / => POST /", status: 405, text: "GET"},
		"HTTP/1.0":                        {request: "HTTP/1.1 => HTTP/1.0", status: 400, text: "HTTP/1.1"},
		"no upgrade":                      {request: "Upgrade: websocket => X-Nothing: 1", status: 426, text: "Upgrade"},
		"upgrade to something else":       {request: "Upgrade: websocket => Upgrade: h2c", status: 426, text: "Upgrade"},
		"connection removed by a proxy":   {request: "Connection: keep-alive, Upgrade => Connection: keep-alive", status: 400, text: "proxy"},
		"old version":                     {request: "Version: 13 => Version: 8", status: 426, text: "13"},
		"no version":                      {request: "Sec-WebSocket-Version: 13 => X-Nothing: 1", status: 426, text: "13"},
		"no key":                          {request: "Sec-WebSocket-Key => X-Nothing", status: 400, text: "Key"},
		"key of the right length only":    {request: "dGhlIHNhbXBsZSBub25jZQ== => !!!!!!!!!!!!!!!!!!!!!!!!", status: 400, text: "Key"},
		"key of 15 bytes":                 {request: "dGhlIHNhbXBsZSBub25jZQ== => dGhlIHNhbXBsZSBub25j", status: 400, text: "Key"},
		"two keys":                        {request: "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", status: 400, text: "Key"},
		"subprotocol with illegal letter": {request: "Sec-WebSocket-Protocol: a b", status: 400, text: "rollcall.v1.json"},
	}
	s := serve(t, cfg, nil)
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			p := dialRaw(t, s)
			p.send([]byte(edit(handshake, tt.request) + "\r\n"))
			resp := p.response()
			body := ""
			if resp.StatusCode != http.StatusSwitchingProtocols {
				b, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = string(b)
			}
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.text) {
				t.Fatalf("answered %s %q, want %d and a text with %q", resp.Status, body, tt.status, tt.text)
			}
			if tt.status == http.StatusUpgradeRequired && (resp.Header.Get("Sec-WebSocket-Version") != "13" || resp.Header.Get("Upgrade") != "websocket") {
				t.Fatalf("426 without what to upgrade to: %v", resp.Header)
			}
			if tt.status != http.StatusSwitchingProtocols {
				return
			}
			c := within(t, s.conns, "the server's connection")
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != tt.protocol || c.Subprotocol() != tt.protocol {
				t.Fatalf("agreed on %q, connection says %q, want %q", got, c.Subprotocol(), tt.protocol)
			}
			if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Fatalf("accept key %q is not RFC 6455's own example", got)
			}
			if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
				t.Fatalf("agreed on extension %q", got)
			}
			p.send(masked(0x81, "works"))
			p.want(0x81, "works")
		})
	}
}

func edit(request, change string) string {
	old, with, replaces := strings.Cut(change, " => ")
	with = strings.ReplaceAll(with, "\n", "\r\n")
	switch {
	case replaces:
		return strings.Replace(request, old, with, 1)
	case change == "":
		return request
	}
	return request + strings.ReplaceAll(change, "\n", "\r\n") + "\r\n"
}

func TestOriginIsTheCallersDecision(t *testing.T) {
	cfg := &Config{Origin: func(origin, host string) bool { return origin == "https://app.test" && host == "rollcall.test" }}
	s := serve(t, cfg, nil)
	for origin, status := range map[string]int{"https://app.test": 101, "https://rollcall.test": 403} {
		p := dialRaw(t, s)
		p.send([]byte(handshake + "Origin: " + origin + "\r\n\r\n"))
		resp := p.response()
		if resp.StatusCode != status {
			t.Errorf("origin %s: %s, want %d", origin, resp.Status, status)
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			within(t, s.conns, "the server's connection")
		}
	}
}

func TestHTTP2IsRefusedWithAText(t *testing.T) {
	var streamErr error
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			_, streamErr = HijackStream(w, r, nil)
			return
		}
		if _, err := new(Config).Upgrade(w, r); err == nil {
			t.Error("upgraded an HTTP/2 request")
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for path, status := range map[string]int{"/": http.StatusBadRequest, "/events": http.StatusHTTPVersionNotSupported} {
		resp, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if resp.ProtoMajor != 2 || resp.StatusCode != status || !strings.Contains(string(body), "HTTP/1.1") {
			t.Errorf("%s over %s: %s %q, want %d", path, resp.Proto, resp.Status, body, status)
		}
	}
	if streamErr == nil {
		t.Error("HijackStream took an HTTP/2 request")
	}
}

// The zero limits are the documented ones.
func TestDefaults(t *testing.T) {
	c := &Config{MaxMessage: -1}
	if c.maxMessage() != 16384 || c.maxFragments() != 16 || c.outboxLimit() != 262144 || c.writeTimeout().Seconds() != 10 || c.closeWait().Seconds() != 2 {
		t.Fatalf("defaults %d %d %d %v %v", c.maxMessage(), c.maxFragments(), c.outboxLimit(), c.writeTimeout(), c.closeWait())
	}
}
