package trouter_test

import (
	"fmt"
	"time"

	"rollcall/trouter"
)

// The owner's side: put, send while the window is open, act at the deadline,
// settle what is acknowledged. Here the first send gets lost.
func ExampleQueue() {
	lim := trouter.DefaultLimits
	now := time.Date(2026, 1, 2, 9, 0, 0, 0, time.UTC)
	var queue trouter.Queue[string]
	var client trouter.Receiver

	queue.Put(trouter.Item[string]{Publisher: 1, Version: 7, Size: 40, Value: "alice Busy"}, now, &lim)
	queue.Put(trouter.Item[string]{Publisher: 1, Version: 8, Size: 40, Value: "alice Away"}, now, &lim)
	for b, ok := queue.Next(now, &lim); ok; b, ok = queue.Next(now, &lim) {
		fmt.Printf("batch %d is lost\n", b.Seq)
	}

	now, _ = queue.Deadline(&lim)
	for _, b := range queue.Due(now) {
		fmt.Printf("batch %d, send %d\n", b.Seq, b.Sent)
		if !client.Batch(b.Seq, now) {
			continue
		}
		for _, it := range b.Items {
			if client.Apply("alice", it.Version) {
				fmt.Printf("client shows %s\n", it.Value)
			}
		}
	}

	now, _ = client.AckDue()
	acked, err := queue.Ack(client.Ack(), now)
	fmt.Println(len(acked), "acknowledged,", queue.InFlight(), "in flight,", err)
	// Output:
	// batch 1 is lost
	// batch 1, send 2
	// client shows alice Away
	// 1 acknowledged, 0 in flight, <nil>
}

func ExampleAddress() {
	a := trouter.Address{
		Org: "acme", Tenant: "0f8fad5b-d9cb-469f-a165-70867728950e",
		Node: "gw1", Endpoint: "00112233445566778899aabbccddeeff",
	}
	url := a.URL("https://gw1.example") + "/unifiedPresenceService"
	fmt.Println(url)
	back, err := trouter.ParseURL(url, "https://gw1.example")
	fmt.Println(back == a, err)
	// Output:
	// https://gw1.example/trouter/acme/0f8fad5b-d9cb-469f-a165-70867728950e/gw1/00112233445566778899aabbccddeeff//unifiedPresenceService
	// true <nil>
}
