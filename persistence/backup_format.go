package persistence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// A backup is one part or several, one after the other. A part is what one node
// had at one moment:
//
//	8 bytes   backupMagic
//	4 bytes   format, big endian, as all numbers here
//	records   [kind 1][length 4][payload][CRC32C of the three 4]
//	            h  BackupHead in JSON, once, the first
//	            u  messages.UserCopy
//	            m  more of the same user, who has very much; both merge
//	            p  messages.Policy
//	            e  the end, once, the last: users, policies and records before it,
//	               8 bytes each, SHA-256 of the part up to here
const (
	backupMagic  = "\x89RCB\r\n\x1a\n"
	backupFormat = 1

	recordHead = 'h'
	recordUser = 'u'
	recordMore = 'm'
	recordRule = 'p'
	recordEnd  = 'e'

	recordFrame   = 1 + 4
	endSize       = 3*8 + sha256.Size
	maxRecord     = 1 << 20
	maxBackupHead = 4 << 10
	maxCluster    = 64
)

// MaxBackupParts is how many nodes one backup may be of.
const MaxBackupParts = 1000

// What is wrong with a file that is no backup, or no whole one.
var (
	// ErrNoBackup: the file is something else.
	ErrNoBackup = errors.New("this is no Rollcall backup: name a file that node backup has written")
	// ErrBackupFormat: another version of Rollcall has written it.
	ErrBackupFormat = errors.New("the backup has a format that this version does not know: restore it with the version of Rollcall that wrote it")
	// ErrBackupDamaged: it is cut off or has changed since it was written.
	ErrBackupDamaged = errors.New("the backup is damaged or cut off: use another copy of it, or another backup")
	// ErrBackupCluster: it is of another cluster than was asked for.
	ErrBackupCluster = errors.New("the backup is of another cluster")
)

// BackupHead says what a part of a backup is of.
type BackupHead struct {
	Cluster string    `json:"cluster,omitempty"` // empty: not known
	Node    uint64    `json:"node,string"`       // identity of the store
	Taken   time.Time `json:"taken"`             // the moment, by the node's clock
	Part    int       `json:"part"`              // from 1
	Of      int       `json:"of"`                // parts that belong together
}

func (h *BackupHead) check() error {
	if h.Part < 1 || h.Of < h.Part || h.Of > MaxBackupParts {
		return fmt.Errorf("part %d of %d", h.Part, h.Of)
	}
	if len(h.Cluster) > maxCluster || strings.ContainsFunc(h.Cluster, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the cluster's name has characters that no name has")
	}
	return nil
}

func parseHead(payload []byte) (h BackupHead, err error) {
	if len(payload) > maxBackupHead {
		return h, fmt.Errorf("a head of %d bytes", len(payload))
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, fmt.Errorf("the head: %w", err)
	}
	return h, h.check()
}

// BackupCount is how much has been written or read.
type BackupCount struct {
	Users    uint64
	Policies uint64
	Records  uint64
	Bytes    int64
}

func (c *BackupCount) add(o BackupCount) {
	c.Users += o.Users
	c.Policies += o.Policies
	c.Records += o.Records
	c.Bytes += o.Bytes
}

// frameRecord appends a record to b.
func frameRecord(b []byte, kind byte, payload []byte) []byte {
	at := len(b)
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// endRecord is the payload of the last record.
func endRecord(c BackupCount, sum []byte) []byte {
	b := make([]byte, 0, endSize)
	for _, n := range []uint64{c.Users, c.Policies, c.Records} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, sum...)
}

// encodeCopy is the payload of a user's record.
func encodeCopy(c *Commit) ([]byte, error) {
	m := &messages.UserCopy{User: messages.FromUser(c.User), Version: uint64(c.Version)}
	if c.Version != 0 {
		m.State = messages.FromState(c.State)
	}
	if !c.Wake.IsZero() {
		m.Wake = c.Wake.UnixMilli()
	}
	for _, e := range c.Elements {
		m.Elements = append(m.Elements, messages.FromElement(e))
	}
	return m.MarshalVT()
}

func decodeCopy(payload []byte) (c Commit, err error) {
	var m messages.UserCopy
	if err := m.UnmarshalVT(payload); err != nil {
		return c, err
	}
	if c.User, err = messages.ToUser(m.User); err != nil {
		return c, err
	}
	c.Version = presence.Version(m.Version)
	if c.Version != 0 {
		c.State = messages.ToState(m.State)
	}
	if m.Wake != 0 {
		c.Wake = time.UnixMilli(m.Wake)
	}
	c.Elements = make([]presence.Element, 0, len(m.Elements))
	for _, e := range m.Elements {
		el, err := messages.ToElement(e)
		if err != nil {
			return c, err
		}
		c.Elements = append(c.Elements, el)
	}
	return c, nil
}

func decodePolicy(payload []byte) (p presence.Policy, err error) {
	var m messages.Policy
	if err := m.UnmarshalVT(payload); err != nil {
		return p, err
	}
	return messages.ToPolicy(&m)
}
