package front_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/gateway/gatewaytest"
	"rollcall/limit"
	"rollcall/messages"
	"rollcall/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home  = presence.TenantID{1}
	alice = &auth.Identity{User: userN(home, 0), Tenant: home, Scopes: auth.PresenceReadAll | auth.PresenceReadWrite}
	bob   = &auth.Identity{User: userN(home, 1), Tenant: home, Scopes: auth.PresenceReadAll | auth.PresenceReadWrite}
)

func userN(t presence.TenantID, n int) presence.UserID {
	return presence.UserID{Tenant: t, MRI: fmt.Sprintf("8:u%d", n)}
}

// frontAt is a Front on real actors with a clock that the test moves, under a
// policy of small quotas.
func frontAt(t *testing.T, l front.Limits) (*front.Front, *time.Time) {
	t.Helper()
	n := gatewaytest.Start(t, gatewaytest.Options{})
	p := presence.DefaultPolicy(home)
	p.Quotas.TargetsHour, p.Quotas.TargetsDay, p.Quotas.TenantPublishPerUser = 3, 4, 2
	if _, err := n.Front.Actors.SetPolicy(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	c := n.Front.Config
	c.Now, c.Limits, c.Registerer, c.Log = func() time.Time { return now }, l, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	return front.New(c), &now
}

func TestDifferentTargets(t *testing.T) {
	f, now := frontAt(t, front.Limits{})
	take := func(id *auth.Identity, ns ...int) error {
		var us []presence.UserID
		for _, n := range ns {
			us = append(us, userN(home, n))
		}
		return f.TakeTargets(id, us)
	}
	if err := take(alice, 10, 11, 12); err != nil {
		t.Fatal(err)
	}
	if err := take(alice, 0, 10, 11, 12); err != nil {
		t.Errorf("oneself and the same again: %v", err)
	}
	err := take(alice, 13)
	if !errors.Is(err, messages.ErrEnumeration) || front.Refusal(err).RetryAfter > time.Hour+2*time.Minute {
		t.Errorf("a fourth in the hour: %v", err)
	}
	if err := take(bob, 13); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	*now = now.Add(2 * time.Hour)
	if err := take(alice, 13); err != nil {
		t.Errorf("a fourth two hours later: %v", err)
	}
	if err := take(alice, 14); !errors.Is(err, messages.ErrEnumeration) {
		t.Errorf("a fifth in the day: %v", err)
	}
}

func TestApplicationsOwnTenantIsFree(t *testing.T) {
	f, _ := frontAt(t, front.Limits{})
	app := &auth.Identity{Tenant: home, App: "app", Application: true, Scopes: auth.PresenceReadAll}
	for n := range 10 {
		if err := f.TakeTargets(app, []presence.UserID{userN(home, n)}); err != nil {
			t.Fatalf("user %d of the own tenant: %v", n, err)
		}
	}
	var err error
	for n := range 4 {
		err = f.TakeTargets(app, []presence.UserID{userN(presence.TenantID{2}, n)})
	}
	if !errors.Is(err, messages.ErrEnumeration) {
		t.Errorf("a fourth user of another tenant: %v", err)
	}
}

func TestQueries(t *testing.T) {
	f, now := frontAt(t, front.Limits{Queries: limit.Rate{Count: 10, Per: time.Second, Burst: 10}})
	for range 10 {
		if err := f.TakeQuery(alice); err != nil {
			t.Fatal(err)
		}
	}
	err := f.TakeQuery(alice)
	if !errors.Is(err, front.ErrRate) || front.Refusal(err).RetryAfter <= 0 {
		t.Errorf("the eleventh in a second: %v", err)
	}
	if err := f.TakeQuery(bob); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	*now = now.Add(100 * time.Millisecond)
	if err := f.TakeQuery(alice); err != nil {
		t.Errorf("a tenth of a second later: %v", err)
	}
}

func TestTenantsPublishes(t *testing.T) {
	f, now := frontAt(t, front.Limits{TenantUsers: 1})
	publish := func(id *auth.Identity) error {
		_, _, err := f.Publication(id, &front.Source{Source: "note", Note: "x"}, front.Origin{})
		return err
	}
	for range 2 { // two a minute for one user
		if err := publish(alice); err != nil {
			t.Fatal(err)
		}
	}
	err := publish(alice)
	if !errors.Is(err, messages.ErrPublishRate) || front.Refusal(err).RetryAfter <= 0 {
		t.Errorf("the third of the only user: %v", err)
	}
	*now = now.Add(time.Minute)
	if err := publish(bob); err != nil { // from now on there are two
		t.Fatal(err)
	}
	*now = now.Add(time.Minute)
	for i := range 4 {
		if err := publish([]*auth.Identity{alice, bob}[i%2]); err != nil {
			t.Errorf("publish %d of two users: %v", i, err)
		}
	}
	if err := publish(bob); !errors.Is(err, messages.ErrPublishRate) {
		t.Errorf("the fifth of two users: %v", err)
	}
}

func TestTargets(t *testing.T) {
	f, _ := frontAt(t, front.Limits{})
	elsewhere := presence.TenantID{2}.String() + "/8:u1"
	users, err := f.Targets(alice, []string{"8:u1", elsewhere}, 2, front.ErrTooManyIDs)
	if err != nil || users[0] != userN(home, 1) || users[1] != userN(presence.TenantID{2}, 1) {
		t.Errorf("%v, %v", users, err)
	}
	if front.Name(users[0], home) != "8:u1" || front.Name(users[1], home) != elsewhere {
		t.Error("names do not lead back")
	}
	if _, err := f.Targets(alice, []string{"8:u1", "8:u2", "8:u3"}, 2, front.ErrTooManyIDs); !errors.Is(err, front.ErrTooManyIDs) {
		t.Errorf("three of two: %v", err)
	}
	if _, err := f.Targets(alice, []string{"8:u1", "nobody"}, 2, front.ErrTooManyIDs); !errors.Is(err, messages.ErrBadID) {
		t.Errorf("a bad id: %v", err)
	}
}

func TestViewer(t *testing.T) {
	if front.Viewer(alice) != alice.User {
		t.Error("a user does not read as itself")
	}
	for app, mri := range map[string]string{
		"0d3a44a2-6c1f-4f0e-a9be-000000000100": "28:0d3a44a2-6c1f-4f0e-a9be-000000000100",
		"spaces are no id":                     "28:application",
	} {
		v := front.Viewer(&auth.Identity{Tenant: home, App: app, Application: true})
		if v != (presence.UserID{Tenant: home, MRI: mri}) || v.Tracked() {
			t.Errorf("%q reads as %v", app, v)
		}
	}
}
