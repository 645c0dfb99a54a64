package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// crowd is all users of a scenario.
type crowd struct {
	cluster *cluster
	record  *record
	users   []*user
	stop    context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup

	mu     sync.Mutex
	calm   bool           // nobody publishes any more
	owners map[int]string // node by user, as of the last look
}

func newCrowd(c *cluster, r *record, size int) *crowd {
	k := &crowd{cluster: c, record: r, owners: map[int]string{}}
	k.ctx, k.stop = context.WithCancel(context.Background())
	for i := range size {
		u := &user{
			number: i, crowd: k, home: i, post: i%overHTTP == overHTTP-1,
			kicked: make(chan struct{}, 1), random: rand.New(rand.NewPCG(1, uint64(i))),
		}
		for j := 1; j <= min(watchesEach, size-1); j++ {
			u.watches = append(u.watches, (i+j*j)%size)
		}
		slices.Sort(u.watches)
		u.watches = slices.DeleteFunc(slices.Compact(u.watches), func(w int) bool { return w == i })
		k.users = append(k.users, u)
	}
	return k
}

// connect brings everybody on line, some at a time.
func (k *crowd) connect() error {
	var wg sync.WaitGroup
	errs := make([]error, len(k.users))
	slots := make(chan struct{}, 16)
	for i, u := range k.users {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = u.connect()
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, u := range k.users {
		k.wg.Go(func() { u.live(k.ctx) })
	}
	return nil
}

func (k *crowd) close() {
	k.stop()
	k.wg.Wait()
	var wg sync.WaitGroup
	for _, u := range k.users {
		if u.client != nil {
			wg.Go(func() { _ = u.client.Close() }) // it has no error to give
		}
	}
	wg.Wait()
}

// kick makes everybody publish soon.
func (k *crowd) kick() {
	for _, u := range k.users {
		select {
		case u.kicked <- struct{}{}:
		default: // it will anyhow
		}
	}
}

func (k *crowd) quiet(calm bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calm = calm
}

func (k *crowd) isCalm() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calm
}

// learnOwners notes which node owns whom.
func (k *crowd) learnOwners() {
	owners, err := k.cluster.owners(k.users)
	if err != nil {
		progress("who owns whom is not known: %v", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owners = owners
}

// publishing are those who wait for the answer to a publish.
func (k *crowd) publishing() (waiting []string) {
	for _, u := range k.users {
		u.mu.Lock()
		if u.busy && !u.gone {
			text := fmt.Sprintf("user %d", u.number)
			if u.client != nil {
				s := u.client.State()
				text += fmt.Sprintf(" (%s since %s, %v)", s.Status, s.Since.Format("15:04:05.000"), s.Err)
			}
			waiting = append(waiting, text)
		}
		u.mu.Unlock()
	}
	return waiting
}

// standings are what every watcher has.
func (k *crowd) standings() []standing {
	var all []standing
	for _, u := range k.users {
		if u.client == nil || u.isGone() {
			continue
		}
		for _, w := range u.watches {
			p, _ := u.client.Presence(userMRI(w)) // none is the zero one
			all = append(all, standing{u.number, w, item{p.Version, shown{p.Availability, p.Activity}}})
		}
	}
	return all
}

// informed is nil when every watcher has been told something of everybody.
func (k *crowd) informed() error {
	var missing []string
	for _, s := range k.standings() {
		if s.has.version == 0 {
			missing = append(missing, fmt.Sprintf("user %d at %s has been told nothing of user %d", s.watcher, k.users[s.watcher].at(), s.user))
		}
	}
	return few(missing)
}

// places counts the users by the node that they are connected to.
func (k *crowd) places() map[string]int {
	at := map[string]int{}
	for _, u := range k.users {
		if u.client != nil && !u.isGone() {
			at[u.client.State().Status.String()+" "+u.at()]++
		}
	}
	return at
}

func (k *crowd) owner(user int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owners[user]
}
