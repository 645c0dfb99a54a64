package gossip

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync/atomic"

	"rollcall/cluster/complaints"
)

// Reasons of refusal, the values of a label of rollcall_gossip_refused_total.
const (
	reasonCluster  = "cluster"  // another cluster's name
	reasonKey      = "key"      // not encrypted, or with a key that is not in the file
	reasonGarbage  = "garbage"  // no message of memberlist
	reasonMeta     = "meta"     // a member whose description is out of bounds
	reasonProtocol = "protocol" // a member, or a message, of a version that is not known here
	reasonAddress  = "address"  // a member where none can be
	reasonConflict = "conflict" // two processes say that they are the same one
	reasonStreams  = "streams"  // too many connections
	reasonFull     = "full"     // too many messages or members
)

var reasons = []string{
	reasonCluster, reasonKey, reasonGarbage, reasonMeta, reasonProtocol, reasonAddress, reasonConflict,
	reasonStreams, reasonFull,
}

// lines tells what memberlist says in its log only: it has no other way to tell
// of what it refused. The first one that fits counts.
var lines = []struct{ part, reason string }{
	{"ignoring alive message for", ""}, // admit has counted it, or the next lines do
	{"unacceptable label", reasonCluster},
	{"Decrypt packet failed", reasonKey},
	{"no installed keys could decrypt", reasonKey},
	{"remote state is not encrypted", reasonKey},
	{"encryption is not configured", reasonKey},
	{"protocol version(s) are wrong", reasonProtocol},
	{"is incompatible: [", reasonProtocol},
	{"handler queue full", reasonFull},
	{"Too many pending push/pull", reasonFull},
	{"failed to receive and remove the stream label", reasonGarbage},
	{"cannot decode label", reasonGarbage},
	{"label header cannot be empty", reasonGarbage},
	{"failed to receive: ", reasonGarbage},
	{"Failed to read remote state", reasonGarbage},
	{"Failed to receive user message", reasonGarbage},
	{"Failed to decode", reasonGarbage},
	{"Failed to decompress", reasonGarbage},
	{"truncated messages", reasonGarbage},
	{"invalid checksum", reasonGarbage},
	{"missing message type", reasonGarbage},
	{"not supported", reasonGarbage},
	{"invalid msgType", reasonGarbage},
	{"UDP packet too short", reasonGarbage},
}

// logs is where memberlist writes its log to. Its own lines are for debugging;
// what they tell of refusals and suspicions is counted. It may be called under
// memberlist's locks and calls nothing of it.
type logs struct {
	log       *slog.Logger
	refuse    func(from, reason, why string)
	suspected func(name string)
	refuted   func()
	door      atomic.Pointer[door] // nil at first
}

func (l *logs) logger() *log.Logger { return log.New(l, "", 0) }

// Write takes one line.
func (l *logs) Write(b []byte) (int, error) {
	line := strings.TrimSuffix(string(b), "\n")
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("memberlist", "line", complaints.Cut(line))
	}
	_, text, _ := strings.Cut(line, "memberlist: ")
	switch {
	case strings.HasPrefix(text, "Suspect "):
		if name, ok := strings.CutSuffix(text[len("Suspect "):], " has failed, no acks received"); ok {
			l.suspected(name)
		}
		return len(b), nil
	case strings.HasPrefix(text, "Refuting a suspect"), strings.HasPrefix(text, "Refuting a dead"):
		l.refuted()
		return len(b), nil
	}
	for _, k := range lines {
		if strings.Contains(text, k.part) {
			from := source(text)
			// Who hangs up, or is too late to say anything, is reported as of another cluster.
			d := l.door.Load()
			if k.reason != "" && (d == nil || !d.silent(from)) {
				l.refuse(hostOf(from), k.reason, text)
			}
			break
		}
	}
	return len(b), nil
}

// source is the address that memberlist names at the end of a line.
func source(text string) string {
	i := strings.LastIndex(text, "from=")
	if i < 0 {
		return "unknown"
	}
	return text[i+len("from="):]
}
