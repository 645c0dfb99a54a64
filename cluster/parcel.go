package cluster

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"rollcall/messages"
	"rollcall/wheel"
)

// parcel is a message on its way to a virtual actor, to a node itself, or to the
// one who asked something. It is handled by one goroutine at a time.
type parcel struct {
	to      Address
	node    string // a member's id: the message is for the node itself
	caller  string // the name of a process: the message is the answer to its call
	call    uint64
	msg     any        // nil until it is decoded
	sender  *actor.PID // nil: no answer is wanted
	name    string     // of the encoded message, empty until it is encoded
	body    []byte
	from    string // the member that sent it here, empty for this one
	hops    uint32
	until   time.Time              // when the one who asked gives up; zero: not known
	wanted  bool                   // it was late before: taken however late it is now
	standIn bool                   // sent past the owner, which could not be reached
	handoff bool                   // part of a handoff: taken while the shard is not served yet
	at      atomic.Pointer[string] // the member that has it; nil: this node has
}

// back takes a parcel back from the member that it was sent to. Only one of
// those who try may go on with it.
func (p *parcel) back() bool {
	at := p.at.Load()
	return at != nil && p.at.CompareAndSwap(at, nil)
}

// backFrom is back where the parcel was sent to that member last.
func (p *parcel) backFrom(member string) bool {
	at := p.at.Load()
	return at != nil && *at == member && p.at.CompareAndSwap(at, nil)
}

// maxHops bounds how often a message is sent on or sent again; the waits in
// between add up to about two seconds.
const maxHops = 12

// maxResends bounds the messages that wait for their next try.
const maxResends = 100_000

// Errors that lead to another try.
var errElsewhere = errors.New("cluster: the shard is not served here")

func (p *parcel) decode() error {
	if p.msg != nil {
		return nil
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(p.name))
	if err != nil {
		return fmt.Errorf("cluster: message type %q is not known here", p.name)
	}
	m := t.New().Interface()
	if err := proto.Unmarshal(p.body, m); err != nil {
		return fmt.Errorf("cluster: decode %s: %w", p.name, err)
	}
	p.msg = m
	return nil
}

func (p *parcel) encode() error {
	if p.name != "" {
		return nil
	}
	m, ok := p.msg.(proto.Message)
	if !ok {
		return fmt.Errorf("cluster: %T cannot leave its node", p.msg)
	}
	body, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("cluster: encode %T: %w", p.msg, err)
	}
	p.name, p.body = string(m.ProtoReflect().Descriptor().FullName()), body
	return nil
}

// late says whether nobody waits for the answer any more.
func (p *parcel) late(now time.Time) bool { return !p.until.IsZero() && !now.Before(p.until) }

// routed is the parcel as it crosses between nodes. It is a new one each time:
// an outbox may still hold the last.
func (p *parcel) routed(now time.Time) (*messages.Routed, error) {
	if p.late(now) {
		return nil, ErrTimeout
	}
	if err := p.encode(); err != nil {
		return nil, err
	}
	r := &messages.Routed{Type: p.name, Body: p.body, Hops: p.hops, Handoff: p.handoff, StandIn: p.standIn, Wanted: p.wanted}
	if !p.until.IsZero() {
		r.LeftMs = uint32(min(p.until.Sub(now).Milliseconds()+1, math.MaxUint32))
	}
	switch {
	case p.caller != "":
		r.ReplyNode, r.ReplyId = p.caller, p.call
		return r, nil
	case p.node != "":
		r.Actor = nodeActor
	default:
		r.Actor, r.Shard = p.to.String(), uint32(p.to.Shard())
	}
	if p.sender != nil {
		var err error
		if r.ReplyNode, r.ReplyId, err = parseCall(p.sender.Id); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// nodeActor is the name of a node among actors.
const nodeActor = "node"

// unpack reads what another node sent; the message itself is decoded only where
// it is taken.
func (n *Node) unpack(from string, r *messages.Routed) (*parcel, error) {
	p := &parcel{name: r.Type, body: r.Body, from: from, hops: r.Hops, handoff: r.Handoff, standIn: r.StandIn, wanted: r.Wanted}
	if r.LeftMs != 0 {
		p.until = n.Now().Add(time.Duration(r.LeftMs) * time.Millisecond)
	}
	if r.ReplyNode != "" {
		p.sender = actor.NewPID(callSpace, r.ReplyNode+"/"+strconv.FormatUint(r.ReplyId, 10))
	}
	if r.Actor == nodeActor || r.Actor == "" {
		return p, nil
	}
	var err error
	p.to, err = ParseAddress(r.Actor)
	return p, err
}

// envelope is the message as a mailbox takes it.
func (p *parcel) envelope() any {
	if p.sender == nil {
		return p.msg
	}
	return &actor.MessageEnvelope{Message: p.msg, Sender: p.sender}
}

// fail tells whoever waits for an answer that there will be none.
func (n *Node) fail(p *parcel, err error) {
	if p.sender == nil {
		n.metrics.dropped.Inc()
		return
	}
	(*answers)(n).SendUserMessage(p.sender, messages.StatusOf(err))
}

// later tries again after a few milliseconds: members learn of changes one
// after another.
func (n *Node) later(p *parcel) {
	p.hops++
	if p.hops > maxHops || n.resends.Add(1) > maxResends {
		if p.hops <= maxHops {
			n.resends.Add(-1)
		}
		n.fail(p, ErrMoved)
		return
	}
	n.metrics.resent.Inc()
	wait := min(time.Millisecond<<p.hops, 256*time.Millisecond)
	now := n.Now()
	r := &resend{node: n, parcel: p}
	r.timer.Target = r
	n.Wheel.Schedule(&r.timer, now.Add(wheel.Jitter(wait, uint64(now.UnixNano())^uint64(p.hops))))
}

// resend is a parcel that waits for its next try.
type resend struct {
	node   *Node
	parcel *parcel
	timer  wheel.Timer
}

// Fire is called by the wheel.
func (r *resend) Fire(*wheel.Timer, time.Time) {
	r.node.resends.Add(-1)
	var err error = ErrTimeout
	if !r.parcel.late(r.node.Now()) {
		err = r.node.place(r.parcel)
	}
	if err != nil {
		r.node.fail(r.parcel, err)
	}
}

// parseCall splits the id of a call's PID: <member name>/<number>.
func parseCall(s string) (from string, id uint64, err error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", 0, fmt.Errorf("%w: call %q", ErrAddress, s)
	}
	if id, err = strconv.ParseUint(s[i+1:], 10, 64); err != nil {
		return "", 0, fmt.Errorf("%w: call %q", ErrAddress, s)
	}
	return s[:i], id, nil
}
