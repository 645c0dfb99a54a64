package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

func TestActivityRevivesADeviceThatTheNodeHasForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		c.Active() // no device yet: nothing to keep alive
		answer := async(func() error {
			_, err := c.Publish(t.Context(), client.Device{Availability: presence.Available})
			return err
		})
		p.done(p.read().Id, &messages.Done{Version: 1})
		if err := answer(); err != nil {
			t.Fatal(err)
		}
		c.Active()
		c.Active() // at once again: one frame is enough
		if f := p.read(); !f.GetActivity().GetActive() {
			t.Fatalf("got %v, want activity", f)
		}
		p.fail(0, messages.ErrNoSession)
		if f := p.read(); f.GetPublish().GetSource() != "client" {
			t.Errorf("got %v, want the device again", f)
		}
	})
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		cfg := n.config()
		var asked atomic.Int32
		cfg.Token = func(context.Context) (string, error) {
			return token(fmt.Sprint(asked.Add(1)), time.Now().Add(20*time.Second)), nil
		}
		n.start(cfg)
		p, h := n.welcomed("s1", false)
		began := time.Now()
		f := p.read()
		if f.GetToken() == nil || f.GetToken().Token == h.Token {
			t.Fatalf("got %v, want another token", f)
		}
		if d := time.Since(began); d != 15*time.Second {
			t.Errorf("renewed after %s of 20 s, want three quarters", d)
		}
		p.done(f.Id, &messages.Done{})
		p.send(&messages.ServerFrame{Frame: &messages.ServerFrame_Notice{Notice: &messages.Notice{Code: "token_expiring", AfterMs: 30_000}}})
		if f := p.read(); f.GetToken() == nil {
			t.Errorf("after a notice came %v, want a token", f)
		}
	})
}

func TestWhenToRenew(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, tt := range map[string]struct {
		token string
		want  time.Duration
	}{
		"an hour":     {token("x", now.Add(time.Hour)), 58 * time.Minute},
		"a minute":    {token("x", now.Add(time.Minute)), 45 * time.Second},
		"over":        {token("x", now.Add(-time.Minute)), 0},
		"opaque":      {"abc", 1<<63 - 1},
		"no base64":   {"a.!.c", 1<<63 - 1},
		"no JSON":     {"a.YQ.c", 1<<63 - 1},
		"far too far": {token("x", time.Unix(1<<50, 0)), 1<<63 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := client.RenewIn(tt.token, now); got != tt.want {
				t.Errorf("renew in %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTokenThatStaysInvalidEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		for range 3 {
			p := n.next()
			p.read()
			p.fail(0, &client.Error{Code: "token_expired", Text: "The token has expired."})
			p.close(4401)
		}
		synctest.Wait()
		var e *client.Error
		if s := c.State(); s.Status != client.Ended || !errors.As(s.Err, &e) || e.Code != "token_expired" {
			t.Errorf("state %+v, want the end with token_expired", s)
		}
	})
}

func TestWatchListIsCutIntoFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		users := make([]string, 0, 650)
		for i := range cap(users) {
			users = append(users, fmt.Sprintf("%s/8:orgid:a11ce000-6c1f-4f0e-a9be-%012d", "00000000-0000-0000-0000-000000000001", i))
		}
		watch := async(func() error { return c.Watch(t.Context(), users...) })
		for got := 0; got < len(users); {
			f := p.read()
			add := f.GetWatch().GetAdd()
			if size := f.SizeVT(); len(add) == 0 || len(add) > 200 || size > 16<<10 {
				t.Fatalf("a frame of %d users and %d bytes", len(add), size)
			}
			got += len(add)
			p.done(f.Id, &messages.Done{})
		}
		if err := watch(); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedUsersAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		watch := async(func() error { return c.Watch(t.Context(), alice, bob) })
		p.done(p.read().Id, &messages.Done{Watching: 1, Refused: []string{bob}})
		err := watch()
		var refused *client.Refused
		if !errors.As(err, &refused) || len(refused.Users) != 1 || refused.Users[0] != bob {
			t.Fatalf("error %v, want bob refused", err)
		}
		if got := c.Watching(); len(got) != 1 || got[0] != alice {
			t.Errorf("watching %v", got)
		}
		watch = async(func() error { return c.Watch(t.Context(), bob) })
		p.fail(p.read().Id, messages.ErrEnumeration)
		var e *client.Error
		if err := watch(); !errors.As(err, &e) || e.RetryAfter != time.Hour {
			t.Errorf("error %v, want enumeration_guard with an hour to wait", err)
		}
		if got := c.Watching(); len(got) != 1 {
			t.Errorf("a failed watch leaves the list as %v", got)
		}
	})
}

func TestWishStandsWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		var open atomic.Bool
		n.refuse = func(w http.ResponseWriter) bool {
			if !open.Load() {
				http.Error(w, "", http.StatusBadGateway)
			}
			return !open.Load()
		}
		c := n.start(n.config())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Watch(ctx, alice)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "502") {
			t.Errorf("error %v, want the deadline and why there is no connection", err)
		}
		if _, err := c.Publish(ctx, client.Note{Text: "too late"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("publish: %v", err)
		}
		open.Store(true)
		p, _ := n.welcomed("s1", false)
		p.watching(alice)
		p.batch(1, item(alice, 1, presence.Busy))
		expect(t, c, alice, 1)
		p.acked(1) // and no publish: whoever asked for it was told that it is off
	})
}

func TestListOfAnEarlierProcessIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		cfg := n.config()
		cfg.Endpoint = "desk"
		n.start(cfg)
		p, _ := n.welcomed("s1", false)
		f := p.read()
		if w := f.GetWatch(); w == nil || !w.Replace || len(w.Add) != 0 {
			t.Fatalf("got %v, want the old list to be replaced by nothing", f)
		}
		p.drop() // before the answer
		p, _ = n.welcomed("s1", true)
		if f = p.read(); !f.GetWatch().GetReplace() {
			t.Errorf("got %v, want it once more", f)
		}
	})
}

func TestNamesOfUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		synctest.Wait()
		upper := strings.ToUpper(strings.TrimPrefix(alice, "8:orgid:"))
		watch := async(func() error { return c.Watch(t.Context(), upper, tenant+"/"+alice, alice) })
		p.watching(alice) // three names of one user
		if err := watch(); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"", "alice", "x/" + alice, alice + "/", "8:orgid:12", strings.Repeat("8:x", 100)} {
			var e *client.Error
			if err := c.Watch(t.Context(), bad); !errors.As(err, &e) || e.Code != "bad_id" {
				t.Errorf("%q: %v, want bad_id", bad, err)
			}
		}
	})
}

func TestRequestsAreSpreadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		const requests = 60
		var answers []func() error
		for range requests {
			answers = append(answers, async(func() error {
				_, err := c.Publish(t.Context(), client.Note{Text: "x"})
				return err
			}))
		}
		began := time.Now()
		for i := range requests {
			p.done(p.read().Id, &messages.Done{})
			if allowed := 30 + int(2*time.Since(began).Seconds()); i+1 > allowed {
				t.Fatalf("%d frames after %s", i+1, time.Since(began))
			}
		}
		for _, a := range answers {
			if err := a(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTooLargeARequestIsRefusedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		n.welcomed("s1", false)
		_, err := c.Publish(t.Context(), client.Calendar{Entries: []client.Entry{{Message: strings.Repeat("x", 16<<10)}}})
		var e *client.Error
		if !errors.As(err, &e) || e.Code != "too_large" {
			t.Errorf("error %v, want too_large", err)
		}
	})
}

func TestSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		out := async(func() error { return c.SignOut(t.Context()) })
		f := p.read()
		if f.GetBye() == nil {
			t.Fatalf("got %v, want bye", f)
		}
		p.done(f.Id, &messages.Done{})
		p.close(websocket.StatusNormalClosure)
		if err := out(); err != nil {
			t.Error(err)
		}
		if s := c.State(); s.Status != client.Ended {
			t.Errorf("state %+v", s)
		}
	})
}

func TestReasonsThatAreFarApartDoNotAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		for range 5 {
			p, _ := n.welcomed("s1", false)
			time.Sleep(11 * time.Second)
			p.close(4401) // as at the end of each token's life
		}
		n.welcomed("s1", false)
		synctest.Wait()
		if s := c.State(); s.Status != client.Connected {
			t.Errorf("state %+v, want connected", s)
		}
	})
}

func TestAcknowledgementsStayBelowTheNodesRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		const batches = 300
		began := time.Now()
		var acks int
		all := async(func() error {
			for last := uint64(0); last < batches; acks++ {
				last = p.read().GetAck().GetSeq()
				if allowed := 20 + int(20*time.Since(began).Seconds()); acks >= allowed {
					return fmt.Errorf("%d acknowledgements in %s", acks+1, time.Since(began))
				}
			}
			return nil
		})
		for seq := uint64(1); seq <= batches; seq++ {
			p.batch(seq, item(alice, seq, presence.Busy))
			time.Sleep(10 * time.Millisecond) // 100 batches a second, half of them worth an answer
		}
		if err := all(); err != nil {
			t.Error(err)
		}
		if acks < batches/10 {
			t.Errorf("%d batches, %d acknowledgements: the node would wait", batches, acks)
		}
		expect(t, c, alice, batches)
	})
}
