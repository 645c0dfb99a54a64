package complaints

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestOncePerPeerAndMinute(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := New(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	for range 3 {
		l.Say("a", "knocks")
		l.Say("b", "knocks")
		l.Say("a", "shouts", "how", "loud")
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	now = now.Add(every)
	l.Fail("a", "knocks")
	if !strings.Contains(out.String(), "ERROR") {
		t.Errorf("after a minute nothing was said:\n%s", out.String())
	}
}

func TestAFloodIsBounded(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := New(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	for i := range 3 * remembered {
		l.Say(fmt.Sprint(i, strings.Repeat("x", 5000)), "knocks")
	}
	if n := strings.Count(out.String(), "\n"); n != remembered || len(l.last) != remembered {
		t.Errorf("%d lines, %d remembered", n, len(l.last))
	}
	now = now.Add(every)
	l.Say("new", "knocks")
	if len(l.last) != 1 || !strings.Contains(out.String(), "peer=new") {
		t.Errorf("%d remembered a minute later", len(l.last))
	}
}
