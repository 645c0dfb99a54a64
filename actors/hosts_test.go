package actors

import (
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// What a gateway that the device has left says late does not take the device
// back: neither that it was attached there before, nor a lease.
func TestLateWordOfAnOldGateway(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *network) {
		nodes := n.start(3)
		u := n.userOn("n3", "mover")
		nodes[0].connect(u, "phone").publishSession(1, presence.Busy, presence.ActInACall)
		before := time.Now().UnixMilli()
		wait(time.Second)
		now := nodes[1].connect(u, "phone")
		wait(time.Second)
		tell := func(m any) {
			if err := nodes[0].node.Tell(userAddress(u), m); err != nil {
				t.Fatal(err)
			}
		}
		old := nodes[0].self.Name()
		tell(&messages.Subscribe{Endpoint: "phone", Gateway: old, Attached: before})
		end := Publish{Device: "phone", gateway: old, Mutations: []presence.Mutation{{
			Op: presence.Lease, Key: presence.SessionKey("phone"), Expires: time.Now().Add(time.Second).UnixMilli(),
		}}}
		tell(end.message())
		wait(3 * time.Second)
		if now.reason() != 0 {
			t.Errorf("the present connection was closed for %v", now.reason())
		}
		if s := nodes[2].read(bob, u); s.State.Availability != presence.Busy {
			t.Errorf("the late lease counted: %+v", s.State)
		}
	})
}
