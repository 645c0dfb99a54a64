package bench

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/persistence"
	"rollcall/presence"
)

// seedPolicy stores a policy that lifts what bounds people: the load publishes
// more often than they would.
func seedPolicy(b *testing.B, s *persistence.Store) {
	p := presence.DefaultPolicy(tenant)
	p.Version = 1
	p.ChangeInterval = 0
	p.Quotas.DevicePublish = presence.Rate{PerMinute: 1e9, Burst: 1e6}
	p.Quotas.UserPublish = p.Quotas.DevicePublish
	p.Quotas.TenantPublishPerUser = 1e6
	stored := make(chan error, 1)
	s.CommitPolicy(p, func(err error) { stored <- err })
	if err := <-stored; err != nil {
		b.Fatal("policy:", err)
	}
}

// seed makes a data directory with the policy and so many users, of whom every
// tenth has a state that will change by itself.
func seed(b *testing.B, dir string, users int) {
	b.Helper()
	fill(b, dir, users, time.Now().Add(24*time.Hour), true)
}

// fill is seed with users who are the same in every directory that is filled with
// the same wake; announced ones are in the change feed as well, each directory's
// own.
func fill(b *testing.B, dir string, users int, wake time.Time, announced bool) {
	b.Helper()
	s, err := persistence.Open(persistence.Config{Dir: dir, NoSync: true, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	seedPolicy(b, s)
	began := time.Now()
	slots := make(chan struct{}, 4096)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for n := range users {
		slots <- struct{}{}
		wg.Add(1)
		c := stored(n, wake)
		if announced {
			c.Feed = &persistence.FeedEntry{At: began}
		}
		s.Commit(c, func(err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
			<-slots
			wg.Done()
		})
		if done := n + 1; done%200_000 == 0 {
			b.Logf("%d of %d users stored after %.1f s", done, users, time.Since(began).Seconds())
		}
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal("seeding:", *err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func stored(n int, wake time.Time) persistence.Commit {
	version := presence.Version(uint64(wake.Add(-48*time.Hour).UnixMilli()) << 16)
	e := presence.Element{
		Key: presence.PreferredKey, Stamp: presence.Stamp{Version: version, Node: 1},
		Value: presence.Preferred{Availability: presence.Busy, Activity: presence.ActBusy},
	}
	c := persistence.Commit{
		User: presence.UserID{Tenant: tenant, MRI: userMRI(n)}, Version: version,
		State: presence.State{Availability: presence.Offline, Activity: presence.ActOffline},
	}
	if n%10 == 0 {
		e.Expires, c.Wake = wake.UnixMilli(), wake
	}
	c.Elements = []presence.Element{e}
	return c
}
