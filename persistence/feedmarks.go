package persistence

import (
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	maxMarks     = 32 // other nodes in one token
	maxPeers     = 64
	peerMarks    = 64 // of one peer
	markSize     = 16
	noPosition   = 0
	markNodeSize = 8
)

// peerMark says: everything in the peer's log up to seen is in this node's log
// up to at.
type peerMark struct{ at, seen uint64 }

// FeedComplete notes that all which the store of a node had logged up to a
// position is in this store. Tokens given from now on are good at that node.
func (s *Store) FeedComplete(node, mark uint64) {
	f := s.feeds
	if node == 0 || node == f.node || mark == noPosition {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.peers[node]
	switch n := len(list); {
	case n > 0 && list[n-1].seen >= mark:
		return
	case n > 0 && list[n-1].at == f.mark:
		list[n-1].seen = mark
	default:
		list = append(list, peerMark{at: f.mark, seen: mark})
	}
	f.peers[node] = thin(list)
	if len(f.peers) > maxPeers {
		f.forgetPeer()
	}
}

// thin keeps a list short: the older, the fewer.
func thin(list []peerMark) []peerMark {
	if len(list) <= peerMarks {
		return list
	}
	kept := list[:0]
	for i, m := range list {
		if i >= peerMarks/2 || i%2 == 0 {
			kept = append(kept, m)
		}
	}
	return kept
}

// forgetPeer drops the node that was complete longest ago; mu is held.
func (f *feeds) forgetPeer() {
	var oldest, at uint64
	for node, list := range f.peers {
		if last := list[len(list)-1].at; oldest == 0 || last < at {
			oldest, at = node, last
		}
	}
	delete(f.peers, oldest)
}

// nodeMark says: the token's reader has seen everything in the log of a node up
// to there.
type nodeMark struct{ node, seen uint64 }

// marks are what a reader has seen of other logs when it came with a token and
// has then read this one up to a position.
func (f *feeds) marks(after Token, at uint64) string {
	seen := make([]nodeMark, 0, 8)
	for i := 0; i < len(after.marks); i += markSize {
		seen = append(seen, markAt(after.marks, i))
	}
	if after.node != 0 {
		seen = append(seen, nodeMark{after.node, after.seq})
	}
	f.mu.Lock()
	for node, list := range f.peers {
		i, found := slices.BinarySearchFunc(list, at, func(m peerMark, at uint64) int { return cmp.Compare(m.at, at) })
		if !found {
			i--
		}
		if i >= 0 {
			seen = append(seen, nodeMark{node, list[i].seen})
		}
	}
	f.mu.Unlock()
	return packMarks(seen, f.node)
}

// packMarks keeps of each node but one the highest position, of the nodes those
// seen last.
func packMarks(seen []nodeMark, self uint64) string {
	slices.SortFunc(seen, func(a, b nodeMark) int {
		return cmp.Or(cmp.Compare(a.node, b.node), -cmp.Compare(a.seen, b.seen))
	})
	seen = slices.CompactFunc(seen, func(a, b nodeMark) bool { return a.node == b.node })
	seen = slices.DeleteFunc(seen, func(m nodeMark) bool { return m.node == self || m.seen == noPosition })
	if len(seen) > maxMarks {
		slices.SortFunc(seen, func(a, b nodeMark) int { return -cmp.Compare(a.seen, b.seen) })
		seen = seen[:maxMarks]
		slices.SortFunc(seen, func(a, b nodeMark) int { return cmp.Compare(a.node, b.node) })
	}
	if len(seen) == 0 {
		return ""
	}
	b := make([]byte, 0, len(seen)*markSize)
	for _, m := range seen {
		b = binary.BigEndian.AppendUint64(b, m.node)
		b = binary.BigEndian.AppendUint64(b, m.seen)
	}
	return string(b)
}

func markAt(marks string, i int) nodeMark {
	b := []byte(marks[i : i+markSize])
	return nodeMark{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[markNodeSize:])}
}
