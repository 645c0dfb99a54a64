package clustertest

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	intruderNumber = 200             // the end of its address
	intruderTime   = 8 * time.Second // in which it must not get in
	mostLines      = 12              // of warnings that a node may write about it
)

// intruder starts a process that must not become a member, and looks that it
// does not, that somebody says so, and that nobody says it too often.
func (p *scene) intruder(wrong string) error {
	n, err := p.stranger(wrong)
	if err != nil {
		return err
	}
	before := p.logged()
	if err := n.start(p.cluster.program); err != nil {
		return err
	}
	err = p.keptOut(n)
	if n.alive() {
		_ = n.kill() // it may have ended just now
	}
	if err != nil {
		err = fmt.Errorf("%w\nend of the intruder's log:\n%s", err, n.tail(2000))
		return errors.Join(err, p.cluster.agreed(patience)) // so that the next one is judged by itself
	}
	after := p.logged()
	lines := 0
	for name, count := range after {
		lines = max(lines, count-before[name])
	}
	switch {
	case lines > mostLines:
		return fmt.Errorf("a node has written %d warnings about it, at most %d would do", lines, mostLines)
	case lines == 0 && !n.said(`"level":"WARN"`, `"level":"ERROR"`, "node: "):
		return errors.New("neither the cluster nor the intruder says what is wrong")
	}
	return nil
}

// stranger is a node with one wrong secret.
func (p *scene) stranger(wrong string) (*node, error) {
	c := p.cluster
	label, dir := c.name, c.dir
	switch wrong {
	case "name":
		label, dir = "other", filepath.Join(c.dir, "other-name")
	case "ca":
		dir = filepath.Join(c.dir, "other-ca")
	}
	n, err := c.prepare(intruderNumber, "x-"+wrong, label, dir)
	if err != nil {
		return nil, err
	}
	keys := filepath.Join(dir, "secrets", n.name, "gossip.keys")
	switch wrong {
	case "key":
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
		return n, os.WriteFile(keys, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
	default: // only the certificate, or the name, is wrong
		right, err := os.ReadFile(filepath.Join(c.dir, "secrets", "gossip.keys"))
		if err != nil {
			return nil, err
		}
		return n, os.WriteFile(keys, right, 0o600)
	}
}

// keptOut watches that nobody takes the intruder for a member and that it does
// not say that it is ready. It may end by itself.
func (p *scene) keptOut(n *node) error {
	live := len(p.cluster.reachable())
	var in, ready error
	for deadline := time.Now().Add(intruderTime); time.Now().Before(deadline); time.Sleep(pollEvery) {
		for _, m := range p.cluster.reachable() {
			v, err := m.view()
			if err != nil {
				return err
			}
			if got := v.live(); len(got) > live {
				in = fmt.Errorf("%s has let it in: %v", m.name, got)
			}
		}
		if n.alive() && n.ready() == nil {
			ready = errors.New("it takes itself for ready")
		}
	}
	return errors.Join(in, ready)
}

// logged counts the warnings and errors in the logs.
func (p *scene) logged() map[string]int {
	count := map[string]int{}
	for _, n := range p.cluster.nodes {
		text, _ := os.ReadFile(n.log) // none: nothing was said
		count[n.name] = bytes.Count(text, []byte(`"level":"WARN"`)) + bytes.Count(text, []byte(`"level":"ERROR"`))
	}
	return count
}

// garbage throws rubbish at the ports that nodes open for each other.
func (p *scene) garbage(n *node) error {
	before := p.logged()[n.name]
	noise := make([]byte, 64<<10)
	if _, err := rand.Read(noise); err != nil {
		return err
	}
	for _, port := range []int{gossipPort, peerPort} {
		for _, text := range [][]byte{
			noise[:1], noise[:100], noise, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), bytes.Repeat([]byte{0}, 4096),
			bytes.Repeat([]byte{0xff}, 4096), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 100)),
		} {
			for range 5 {
				if err := throw(n.address(port), text); err != nil {
					return err
				}
			}
		}
	}
	if err := pretend(n.address(peerPort)); err != nil {
		return err
	}
	conn, err := net.Dial("udp", n.address(gossipPort))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is read from it
	for i := range 500 {
		if _, err := conn.Write(noise[i : i+1+i*2]); err != nil {
			return err
		}
	}
	if lines := p.logged()[n.name] - before; lines > mostLines {
		return fmt.Errorf("it has written %d warnings, at most %d would do: who sends rubbish fills the disk", lines, mostLines)
	}
	return nil
}

// throw connects, sends, and reads what comes for a moment.
func throw(address string, text []byte) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was for throwing
	if err := conn.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		return err
	}
	_, _ = conn.Write(text)          // the node may have hung up
	_, _ = io.Copy(io.Discard, conn) // until it does, or the deadline
	return nil
}

// pretend shakes hands on the data port without a certificate, which must fail.
func pretend(address string) error {
	d := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: time.Second},
		Config:    &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}},
	}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }() // it must not work anyhow
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	// With TLS 1.3 the refusal of a missing certificate comes after the handshake.
	_, err = conn.Read(make([]byte, 100))
	if err == nil {
		return errors.New("the data port answers a client without a certificate")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the data port hangs on to a client without a certificate: %w", err)
	}
	return nil
}
