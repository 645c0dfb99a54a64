package peers

import (
	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/messages"
)

const (
	maxQueued      = 10_000   // messages that wait for one peer, and as many states
	maxQueuedBytes = 8 << 20  // of both
	maxFlight      = 64       // envelopes without acknowledgement
	maxFlightBytes = 4 << 20  // of them
	envelopeBytes  = 1 << 20  // of an envelope, unless one message alone is larger
	envelopeItems  = 4096     // messages and states in an envelope
	maxItemBytes   = 3 << 20  // of one message
	maxEnvelope    = 4 << 20  // that is read, encoded
	maxItems       = 16 << 10 // that are read in an envelope
	maxBatch       = 64 << 20 // that gRPC reads at once
)

// routedSize and notifySize are never below the encoded size.
func routedSize(r *messages.Routed) int {
	return 96 + len(r.Actor) + len(r.Type) + len(r.Body) + len(r.ReplyNode) + len(r.Owner)
}

func notifySize(n *messages.Notify) int {
	return 96 + len(n.Publisher.GetTenant()) + len(n.Publisher.GetMri()) + len(n.State) + 5*len(n.Endpoints)
}

// countItems counts the messages in an encoded envelope before anything is made
// of them: an empty one takes two bytes here and two hundred in memory.
func countItems(b []byte) (n int, ok bool) {
	for len(b) > 0 {
		field, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return n, false
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(field, kind, b); size < 0 {
			return n, false
		}
		b = b[size:]
		switch field {
		case 4, 5, 10: // routed, notifies, returned
			n++
		}
	}
	return n, true
}
