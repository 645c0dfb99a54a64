package actors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

func block(u presence.UserID, on bool) Publish {
	m := presence.Mutation{Op: presence.Put, Key: presence.BlockKey(u), Value: presence.Block{}}
	if !on {
		m.Op, m.Value = presence.Clear, nil
	}
	return Publish{Device: "block", Mutations: []presence.Mutation{m}}
}

func TestBlockHidesAndUnblockShows(t *testing.T) {
	w := start(t)
	w.fast(home)
	d := w.connect(bob, "phone")
	d.add(alice)
	w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	w.publish(alice, block(bob, true))
	d.sees(alice, presence.Offline, presence.ActOffline)
	w.publish(alice, w.away()) // bob must not hear of it
	if got := w.read(bob, alice); got.State.Availability != presence.Offline || got.Version != 0 {
		t.Errorf("bob reads %+v", got)
	}
	if got := w.read(carol, alice).State.Availability; got != presence.Away {
		t.Errorf("carol reads %v", got)
	}
	if list, err := w.Blocks(t.Context(), alice); err != nil || len(list) != 1 || list[0] != bob {
		t.Errorf("blocks %v, %v", list, err)
	}
	w.publish(alice, block(bob, false))
	d.sees(alice, presence.Away, presence.ActAway)
	w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stale != 0 {
		t.Errorf("%d versions were not newer", d.stale)
	}
	if list, _ := w.Blocks(context.Background(), alice); len(list) != 0 {
		t.Errorf("blocks %v after unblocking", list)
	}
}

func TestPolicyChangeReachesRunningWatches(t *testing.T) {
	w := start(t)
	outsider, insider := w.connect(dave, "phone"), w.connect(bob, "phone")
	outsider.add(alice)
	insider.add(alice)
	w.publish(alice, w.busy())
	outsider.sees(alice, presence.Busy, presence.ActInACall)
	insider.sees(alice, presence.Busy, presence.ActInACall)
	for name, change := range map[string]func(*presence.Policy){
		"privacy mode":          func(p *presence.Policy) { p.Privacy = true },
		"on the block list":     func(p *presence.Policy) { p.Federation, p.List = presence.BlockList, []presence.TenantID{foreign} },
		"not on the allow list": func(p *presence.Policy) { p.Federation = presence.AllowList },
		"distrust of their own": func(p *presence.Policy) { p.Tenant, p.Federation = foreign, presence.AllowList },
		"their block list names us": func(p *presence.Policy) {
			p.Tenant, p.Federation, p.List = foreign, presence.BlockList, []presence.TenantID{home}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := presence.DefaultPolicy(home)
			change(&p)
			stored, err := w.SetPolicy(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			outsider.sees(alice, presence.PresenceUnknown, presence.ActPresenceUnknown)
			insider.sees(alice, presence.Busy, presence.ActInACall)
			if got := w.read(dave, alice); got.State.Availability != presence.PresenceUnknown || got.Version != 0 {
				t.Errorf("dave reads %+v", got)
			}
			back, err := w.SetPolicy(t.Context(), presence.DefaultPolicy(p.Tenant))
			if err != nil || back.Version <= stored.Version {
				t.Fatalf("version %v after %v: %v", back.Version, stored.Version, err)
			}
			outsider.sees(alice, presence.Busy, presence.ActInACall)
		})
	}
	if _, _, stale := outsider.count(); stale != 0 {
		t.Errorf("%d versions were not newer", stale)
	}
}

func TestPolicySurvivesARestartAndIsChecked(t *testing.T) {
	dir := t.TempDir()
	w := startIn(t, dir)
	p := presence.DefaultPolicy(home)
	p.Org, p.Privacy = "contoso", true
	if _, err := w.SetPolicy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Org = "not / an org"
	if _, err := w.SetPolicy(t.Context(), p); !errors.Is(err, messages.ErrBadRequest) {
		t.Errorf("a bad policy was answered %v", err)
	}
	w.store.stop()
	w = startIn(t, dir)
	if got := w.Policy(home); got.Org != "contoso" || !got.Privacy {
		t.Errorf("after a restart: %+v", got)
	}
	if org := w.connect(bob, "phone").welcome().Address.Org; org != "contoso" {
		t.Errorf("the endpoint's organisation is %q", org)
	}
}

func TestFadeFollowsThePolicy(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	d.add(alice)
	w.publish(alice, w.available())
	d.sees(alice, presence.Available, presence.ActAvailable)
	for range 4 { // in steps, so that the connection answers its pings
		w.ahead(25 * time.Second)
		eventually(t, "the ping is answered", func() bool { return w.clock.now().Sub(d.LastHeard()) < SilentAfter/2 })
	}
	p := presence.DefaultPolicy(home)
	p.Rules.IdleAfter = 60e9
	if _, err := w.SetPolicy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	d.sees(alice, presence.AvailableIdle, presence.ActInactive)
}

func TestQuotas(t *testing.T) {
	w := start(t)
	p := presence.DefaultPolicy(home)
	p.Quotas.Endpoints, p.Quotas.WatchesPerEndpoint, p.Quotas.Watchers = 2, 3, 2
	p.Quotas.DevicePublish = presence.Rate{PerMinute: 1, Burst: 3}
	if _, err := w.SetPolicy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Run("endpoints", func(t *testing.T) {
		w.connect(carol, "1")
		w.connect(carol, "2")
		_, err := w.Attach(t.Context(), Attach{Key: EndpointKey{carol, "3"}, Conn: w.device(carol, "3")})
		if !errors.Is(err, messages.ErrEndpoints) {
			t.Errorf("a third endpoint: %v", err)
		}
	})
	t.Run("watches", func(t *testing.T) {
		d := w.connect(bob, "phone")
		a := d.add(userAt(home, "u1"), userAt(home, "u2"), userAt(foreign, "u3"), userAt(foreign, "u4"))
		if a.Watching != 3 || len(a.Refused) != 1 || a.Refused[0] != userAt(foreign, "u4").String() {
			t.Errorf("answered %+v", a)
		}
		d.sees(userAt(foreign, "u3"), presence.Offline, presence.ActOffline)
	})
	t.Run("watchers", func(t *testing.T) {
		var last *device
		for i := range 3 {
			last = w.connect(userAt(home, fmt.Sprint("viewer", i)), "phone")
			last.add(alice)
			eventually(t, "an answer", func() bool { _, v := last.get(alice); return v != 0 })
		}
		last.sees(alice, presence.PresenceUnknown, presence.ActPresenceUnknown)
		if w.metric("rollcall_publisher_full_total") != 1 {
			t.Error("the refusal is not counted")
		}
	})
	t.Run("publishes", func(t *testing.T) {
		for i := range 4 {
			_, err := w.System.Publish(t.Context(), alice, w.busy())
			var refusal *messages.Error
			if i < 3 && err != nil || i == 3 && (!errors.As(err, &refusal) || refusal.Code != "publish_rate" || refusal.RetryAfter <= 0) {
				t.Errorf("publish %d: %v", i, err)
			}
		}
		p := w.busy()
		p.Device = "another"
		if _, err := w.System.Publish(t.Context(), alice, p); err != nil {
			t.Errorf("another device is held back: %v", err)
		}
	})
}

func TestBadPublishes(t *testing.T) {
	w := start(t)
	for name, m := range map[string]presence.Mutation{
		"no such session":  {Op: presence.Clear, Key: presence.SessionKey("x"), MustExist: true},
		"touch of nothing": {Op: presence.Touch, Key: presence.SessionKey("x")},
		"no operation":     {Key: presence.NoteKey, Value: presence.Note{Content: "x"}},
		"wrong value":      {Op: presence.Put, Key: presence.NoteKey, Value: presence.Call{Parties: 2}},
	} {
		_, err := w.System.Publish(t.Context(), alice, Publish{Device: "d", Mutations: []presence.Mutation{m}})
		var refusal *messages.Error
		if !errors.As(err, &refusal) || refusal.Code == "internal" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := w.read(alice, alice); got.Version != 0 {
		t.Errorf("something was stored: %+v", got)
	}
}
