package socket

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it; nothing is kept secret by it
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Subprotocol is what connections speak.
const Subprotocol = "rollcall.v1.proto"

// Target is a node's public address.
type Target struct {
	URL  string // as given: http:// or https://
	host string // for the Host field
	addr string // host:port
	path string
	tls  *tls.Config
}

// ParseTarget reads a node's URL. roots may hold a tls.Config for https.
func ParseTarget(text string, secure *tls.Config) (Target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, fmt.Errorf("%q is no address of a node as http://127.0.0.1:8080", text)
	}
	t := Target{URL: strings.TrimRight(text, "/"), host: u.Host, addr: u.Host, path: strings.TrimRight(u.Path, "/") + "/v1/stream"}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		t.tls = secure.Clone()
		if t.tls == nil {
			t.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if t.tls.ServerName == "" {
			t.tls.ServerName = u.Hostname()
		}
	}
	if u.Port() == "" {
		t.addr = net.JoinHostPort(u.Hostname(), port)
	}
	return t, nil
}

// Loopback says whether the target is on this machine by its address.
func (t Target) Loopback() bool {
	host, _, _ := net.SplitHostPort(t.addr) // made by ParseTarget
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Refused is a handshake that was answered with anything but a switch of
// protocols.
type Refused struct {
	Status     int
	Code       string
	RetryAfter time.Duration
}

func (e *Refused) Error() string {
	return fmt.Sprintf("the handshake was answered %d %s", e.Status, e.Code)
}

// readBuffer of a connection, in bytes: a batch of some twenty items. What is
// larger takes a shared buffer for the moment.
const readBuffer = 2 << 10

// Dial connects, from the source address where it is valid, and makes the
// handshake. ctx bounds both. A refusal is a *Refused.
func Dial(ctx context.Context, to Target, source netip.Addr) (*Conn, error) {
	d := net.Dialer{Control: latePort}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	raw, err := d.DialContext(ctx, "tcp", to.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // ends what waits
	c, err := handshake(ctx, raw, to)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}

func handshake(ctx context.Context, raw net.Conn, to Target) (*Conn, error) {
	if to.tls != nil {
		secure := tls.Client(raw, to.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		raw = secure
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	request := "GET " + to.path + " HTTP/1.1\r\nHost: " + to.host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Protocol: " + Subprotocol + "\r\n\r\n"
	if _, err := io.WriteString(raw, request); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(raw, readBuffer)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, fmt.Errorf("answer to the handshake: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // what follows is read from r
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, refused(res)
	}
	if res.Header.Get("Sec-WebSocket-Accept") != accept(key) || res.Header.Get("Sec-WebSocket-Protocol") != Subprotocol {
		return nil, fmt.Errorf("%s does not speak %s", to.URL, Subprotocol)
	}
	return &Conn{raw: raw, r: r}, nil
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

func refused(res *http.Response) error {
	var body struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what is missing is not understood
	e := &Refused{Status: res.StatusCode, Code: "http_" + strconv.Itoa(res.StatusCode)}
	if json.Unmarshal(text, &body) == nil && body.Error.Code != "" {
		e.Code = body.Error.Code
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 && s < 3600 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
