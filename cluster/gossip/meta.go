package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/hashicorp/memberlist"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
)

// A member's description is a byte for the format and then fields: a tag, the
// length as a varint, the bytes. Tags rise; those above the last known one are
// skipped, so newer members may add some. With every field at its bound it has
// 455 bytes of the 512 that memberlist allows.
const (
	metaFormat = 1

	tagCluster     = 1
	tagID          = 2
	tagIncarnation = 3
	tagAddr        = 4
	tagZone        = 5
	tagRoles       = 6
	tagFlags       = 7
	tagProtocol    = 8
	tagURL         = 9

	flagLeaving = 1

	maxCluster = 64
	maxID      = 32
	maxAddr    = 128
	maxZone    = 32
	maxURL     = 160

	knownRoles = topology.Gateway | topology.Presence
)

var (
	errMeta     = errors.New("its description cannot be read")
	errCluster  = errors.New("it belongs to another cluster")
	errProtocol = errors.New("it speaks no version of the protocol between nodes that is known here")
)

// encode describes a member of the cluster.
func encode(cluster string, m topology.Member) ([]byte, error) {
	if err := errors.Join(validCluster(cluster), validMember(m)); err != nil {
		return nil, err
	}
	flags := uint64(0)
	if m.Leaving {
		flags |= flagLeaving
	}
	b := []byte{metaFormat}
	b = appendText(b, tagCluster, cluster)
	b = appendText(b, tagID, m.ID)
	b = appendNumber(b, tagIncarnation, m.Incarnation)
	b = appendText(b, tagAddr, m.Addr)
	b = appendText(b, tagZone, m.Zone)
	b = appendNumber(b, tagRoles, uint64(m.Roles))
	b = appendNumber(b, tagFlags, flags)
	b = appendNumber(b, tagProtocol, uint64(m.Protocol))
	return appendText(b, tagURL, m.URL), nil
}

func appendText(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

func appendNumber(b []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return appendText(b, tag, string(binary.AppendUvarint(nil, n)))
}

// decode reads what encode wrote. The error is errMeta, errCluster or
// errProtocol with the reason.
func decode(cluster string, b []byte) (m topology.Member, err error) {
	if len(b) > memberlist.MetaMaxSize {
		return m, fmt.Errorf("%w: it has %d bytes", errMeta, len(b))
	}
	if len(b) == 0 || b[0] != metaFormat {
		return m, fmt.Errorf("%w: it is not of format %d", errMeta, metaFormat)
	}
	var named string
	last := byte(0)
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		size, n := binary.Uvarint(b[1:])
		if tag <= last || n <= 0 || size > uint64(len(b)-1-n) {
			return m, fmt.Errorf("%w: a field after tag %d is broken", errMeta, last)
		}
		last = tag
		value := b[1+n : 1+n+int(size)]
		b = b[1+n+int(size):]
		if err := setField(&m, &named, tag, value); err != nil {
			return m, err
		}
	}
	switch {
	case named != cluster:
		return m, fmt.Errorf("%w: %q", errCluster, complaints.Cut(named))
	case m.Protocol == 0:
		return m, errProtocol
	}
	if err := validMember(m); err != nil {
		return topology.Member{}, fmt.Errorf("%w: %w", errMeta, err)
	}
	return m, nil
}

func setField(m *topology.Member, cluster *string, tag byte, value []byte) error {
	var number uint64
	switch tag {
	case tagIncarnation, tagRoles, tagFlags, tagProtocol:
		n := 0
		if number, n = binary.Uvarint(value); n != len(value) || n <= 0 {
			return fmt.Errorf("%w: field %d is no number", errMeta, tag)
		}
	}
	switch tag {
	case tagCluster:
		*cluster = string(value)
	case tagID:
		m.ID = string(value)
	case tagIncarnation:
		m.Incarnation = number
	case tagAddr:
		m.Addr = string(value)
	case tagZone:
		m.Zone = string(value)
	case tagRoles:
		m.Roles = topology.Role(number) & knownRoles // others are of newer members
	case tagFlags:
		m.Leaving = number&flagLeaving != 0
	case tagProtocol:
		if number > 1<<31 {
			return fmt.Errorf("%w: %d", errProtocol, number)
		}
		m.Protocol = uint32(number)
	case tagURL:
		m.URL = string(value)
	}
	return nil
}

// validMember says whether a member can be described: its own node says it of
// what it sends, and others of what they get.
func validMember(m topology.Member) error {
	switch {
	case !plain(m.ID, maxID) || m.ID == "":
		return fmt.Errorf("gossip: the id %q must be 1 to %d of a-z A-Z 0-9 . - _", complaints.Cut(m.ID), maxID)
	case !plain(m.Zone, maxZone):
		return fmt.Errorf("gossip: the zone %q must be at most %d of a-z A-Z 0-9 . - _", complaints.Cut(m.Zone), maxZone)
	case m.Incarnation == 0:
		return errors.New("gossip: a member needs an incarnation: the time of its start in milliseconds")
	case m.Protocol == 0 || m.Protocol > 1<<31:
		return errors.New("gossip: a member needs the version of the protocol between nodes")
	case m.Roles&^knownRoles != 0:
		return fmt.Errorf("gossip: there is no role %#x", m.Roles)
	}
	return errors.Join(validAddr(m.Addr), validURL(m.URL))
}

func validCluster(name string) error {
	if name == "" || len(name) > maxCluster || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return fmt.Errorf("gossip: the cluster's name %q must be 1 to %d of a-z 0-9 . - _", complaints.Cut(name), maxCluster)
	}
	return nil
}

// validAddr checks the host:port of a data port.
func validAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || len(addr) > maxAddr {
		return fmt.Errorf("gossip: the data port's address %q is not host:port of at most %d bytes", complaints.Cut(addr), maxAddr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("gossip: the data port's address %q has no port from 1 to 65535", complaints.Cut(addr))
	}
	ip, err := netip.ParseAddr(host)
	if err != nil && (host == "" || !plain(host, maxAddr)) || ip.IsValid() && !unicast(ip) {
		return fmt.Errorf("gossip: the data port's address %q is no address that others can reach", complaints.Cut(addr))
	}
	return nil
}

func validURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Host == "" || u.User != nil || !printable(s) {
		return fmt.Errorf("gossip: %q is no URL of at most %d bytes for clients", complaints.Cut(s), maxURL)
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss":
		return nil
	}
	return fmt.Errorf("gossip: the URL %q must begin with http, https, ws or wss", complaints.Cut(s))
}

func unicast(ip netip.Addr) bool {
	return !ip.IsUnspecified() && !ip.IsMulticast() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func plain(s string, most int) bool {
	if len(s) > most {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
