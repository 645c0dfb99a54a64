package gossip

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(spinVariable) != "" {
		spin()
		return
	}
	if order := os.Getenv(memberVariable); order != "" {
		runMember(order)
		return
	}
	code := m.Run()
	// memberlist ends its last probes and timers after Shutdown and waits for none of them.
	deadline := time.Now().Add(10 * time.Second)
	err := goleak.Find()
	for err != nil && time.Now().Before(deadline) {
		err = goleak.Find()
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
