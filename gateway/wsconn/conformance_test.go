package wsconn

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// The frame rules of RFC 6455, as one client sees them on a real socket.
func TestFrameRules(t *testing.T) {
	big := strings.Repeat("x", 16<<10)
	join := func(frames ...[]byte) []byte { return slices.Concat(frames...) }
	cases := map[string]struct {
		send  []byte
		want  []wire // before the close frame
		close uint16 // 0: stays open
	}{
		"text and binary are echoed":     {send: join(masked(0x81, "hello"), masked(0x82, "\xff\x00")), want: []wire{{0x81, []byte("hello")}, {0x82, []byte("\xff\x00")}}},
		"empty message":                  {send: masked(0x81, ""), want: []wire{{0x81, nil}}},
		"largest message":                {send: masked(0x81, big), want: []wire{{0x81, []byte(big)}}},
		"ping is answered":               {send: masked(0x89, "are you there"), want: []wire{{0x8a, []byte("are you there")}}},
		"pong nobody asked for":          {send: join(masked(0x8a, "x"), masked(0x81, "a")), want: []wire{{0x81, []byte("a")}}},
		"fragments, ping between":        {send: join(masked(0x01, "a"), masked(0x89, "p"), masked(0x00, "b"), masked(0x80, "c")), want: []wire{{0x8a, []byte("p")}, {0x81, []byte("abc")}}},
		"16 fragments":                   {send: join(masked(0x01, "a"), bytes.Repeat(masked(0x00, "b"), 14), masked(0x80, "c")), want: []wire{{0x81, []byte("a" + strings.Repeat("b", 14) + "c")}}},
		"character across fragments":     {send: join(masked(0x01, "\xe2\x82"), masked(0x80, "\xac")), want: []wire{{0x81, []byte("€")}}},
		"unmasked":                       {send: []byte{0x81, 1, 'a'}, close: CodeProtocolError},
		"RSV1":                           {send: masked(0xc1, "a"), close: CodeProtocolError},
		"RSV2":                           {send: masked(0xa1, "a"), close: CodeProtocolError},
		"RSV3":                           {send: masked(0x91, "a"), close: CodeProtocolError},
		"reserved data opcode":           {send: masked(0x83, "a"), close: CodeProtocolError},
		"reserved control opcode":        {send: masked(0x8b, "a"), close: CodeProtocolError},
		"fragmented ping":                {send: masked(0x09, "a"), close: CodeProtocolError},
		"ping of 125 bytes":              {send: masked(0x89, big[:125]), want: []wire{{0x8a, []byte(big[:125])}}},
		"ping of 126 bytes":              {send: masked(0x89, big[:126]), close: CodeProtocolError},
		"close of 126 bytes":             {send: masked(0x88, "\x03\xe8"+big[:124]), close: CodeProtocolError},
		"stray continuation":             {send: masked(0x80, "a"), close: CodeProtocolError},
		"continuation after the end":     {send: join(masked(0x01, "a"), masked(0x80, "b"), masked(0x80, "c")), want: []wire{{0x81, []byte("ab")}}, close: CodeProtocolError},
		"data inside a fragment":         {send: join(masked(0x01, "a"), masked(0x81, "b")), close: CodeProtocolError},
		"text that is not UTF-8":         {send: masked(0x81, "\xc3\x28"), close: CodeInvalidData},
		"not UTF-8 only when joined":     {send: join(masked(0x01, "\xe2\x82"), masked(0x80, "a")), close: CodeInvalidData},
		"surrogate half":                 {send: masked(0x81, "\xed\xa0\x80"), close: CodeInvalidData},
		"close without code":             {send: masked(0x88, ""), close: 0xffff},
		"close with code":                {send: closeFrame(1000, "bye"), close: 1000},
		"close of a library":             {send: closeFrame(3000, ""), close: 3000},
		"close of an application":        {send: closeFrame(4999, ""), close: 4999},
		"close for service restart":      {send: closeFrame(1012, ""), close: 1012},
		"close with one byte":            {send: masked(0x88, "\x03"), close: CodeProtocolError},
		"close 1005":                     {send: closeFrame(1005, ""), close: CodeProtocolError},
		"close 1004":                     {send: closeFrame(1004, ""), close: CodeProtocolError},
		"close 1006":                     {send: closeFrame(1006, ""), close: CodeProtocolError},
		"close 1015":                     {send: closeFrame(1015, ""), close: CodeProtocolError},
		"close 999":                      {send: closeFrame(999, ""), close: CodeProtocolError},
		"close 2999":                     {send: closeFrame(2999, ""), close: CodeProtocolError},
		"close 5000":                     {send: closeFrame(5000, ""), close: CodeProtocolError},
		"close reason not UTF-8":         {send: closeFrame(1000, "\xff"), close: CodeInvalidData},
		"one byte too many":              {send: masked(0x82, big+"x"), close: CodeTooBig},
		"too big by its header alone":    {send: masked(0x82, big+"x")[:4], close: CodeTooBig},
		"too big by fragments":           {send: join(masked(0x02, big), masked(0x80, "x")), close: CodeTooBig},
		"17 fragments":                   {send: join(masked(0x01, "a"), bytes.Repeat(masked(0x00, ""), 15), masked(0x80, "c")), close: CodeTooBig},
		"length with its top bit":        {send: []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, close: CodeProtocolError},
		"length of all ones":             {send: append([]byte{0x82, 0xff}, bytes.Repeat([]byte{0xff}, 12)...), close: CodeProtocolError},
		"length of 2^62":                 {send: []byte{0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0}, close: CodeTooBig},
		"rubbish":                        {send: []byte("GET / HTTP/1.1\r\n\r\n"), close: CodeProtocolError},
		"data after close is not echoed": {send: join(closeFrame(1001, ""), masked(0x81, "late")), close: 1001},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, &Config{}, nil)
			p, _ := dial(t, s)
			neighbour, _ := dial(t, s)
			p.send(tt.send)
			for _, w := range tt.want {
				p.want(w.first, string(w.payload))
			}
			wantEnd(t, s, p, tt.close)
			neighbour.send(masked(0x81, "still here"))
			neighbour.want(0x81, "still here")
		})
	}
}

// wantEnd checks what the peer and what the server's caller see; 0xffff
// stands for a close frame without a code.
func wantEnd(t *testing.T, s *server, p *peer, code uint16) {
	t.Helper()
	if code == 0 {
		p.send(masked(0x81, "open"))
		p.want(0x81, "open")
		return
	}
	reported := code
	if code == 0xffff {
		code, reported = 0, CodeNoStatus
	}
	p.wantClose(code)
	var ce *CloseError
	if err := within(t, s.ended, "Serve to return"); !errors.As(err, &ce) || ce.Code != reported {
		t.Fatalf("Serve returned %v, want code %d", err, reported)
	}
}

// The same bytes, one at a time, give the same messages.
func TestFramesArriveByteByByte(t *testing.T) {
	s := serve(t, &Config{}, nil)
	p, _ := dial(t, s)
	text := strings.Repeat("é", 100)
	for _, b := range slices.Concat(masked(0x01, text), masked(0x89, "p"), masked(0x80, text)) {
		p.send([]byte{b})
	}
	p.want(0x8a, "p")
	p.want(0x81, text+text)
}

func TestFramesSentWithTheHandshakeAreNotLost(t *testing.T) {
	s := serve(t, &Config{}, nil)
	p, _ := dial(t, s, slices.Concat(masked(0x81, "early"), masked(0x81, "bird")[:5])...)
	p.want(0x81, "early")
	p.send(masked(0x81, "bird")[5:])
	p.want(0x81, "bird")
}

func TestManyFramesInOneWrite(t *testing.T) {
	s := serve(t, &Config{}, nil)
	p, _ := dial(t, s)
	const n = 3000
	payload := strings.Repeat("z", 40)
	go func() { _, _ = p.Write(bytes.Repeat(masked(0x82, payload), n)) }() // the reads below notice a failure
	for range n {
		p.want(0x82, payload)
	}
}

// A FIN that arrives together with the last bytes raises no event of its own.
func TestEndArrivesTogetherWithData(t *testing.T) {
	for range 50 {
		release := make(chan struct{})
		s := serve(t, &Config{}, func(c *Conn, op Op, p []byte) error {
			if string(p) == "wait" {
				<-release
			}
			return nil
		})
		p, _ := dial(t, s)
		p.send(masked(0x81, "wait"))
		p.send(masked(0x81, "last"))
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		close(release)
		var ce *CloseError
		if err := within(t, s.ended, "Serve to return"); !errors.As(err, &ce) || ce.Code != CodeAbnormal {
			t.Fatalf("Serve returned %v, want 1006", err)
		}
	}
}
