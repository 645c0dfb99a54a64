package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Keepers write by themselves, a little at a time.
const (
	keeperCount  = 20
	keeperGap    = 400 * time.Millisecond // least time between two writes of a keeper
	keeperVary   = 800 * time.Millisecond // added evenly
	keeperFirst  = 1 << 20                // number of the first one
	keeperPast   = 1 << 32                // where a keeper's later numbers begin
	keeperWrites = 6 * time.Second        // for one write: above the node's own bound
)

// keepers are people who write down what nobody says again: notes, block lists,
// and what their endpoints watch. Once a write has had no answer a keeper goes
// on as somebody else, so that it cannot arrive behind a later one.
type keepers struct {
	cluster *cluster
	ledger  *ledger
	record  *record // of refusals only
	http    *http.Client
	stop    context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup
	calm    atomic.Bool
	busy    atomic.Int64
	past    atomic.Int64 // keepers that have become somebody else
}

func newKeepers(c *cluster, r *record) *keepers {
	k := &keepers{cluster: c, record: r, ledger: newLedger()}
	k.http = &http.Client{Timeout: keeperWrites, Transport: &http.Transport{DisableKeepAlives: true}}
	k.ctx, k.stop = context.WithCancel(context.Background())
	for i := range keeperCount {
		k.wg.Go(func() { k.live(keeperFirst+i, rand.New(rand.NewPCG(2, uint64(i)))) })
	}
	return k
}

func (k *keepers) close() {
	k.stop()
	k.wg.Wait()
	k.http.CloseIdleConnections()
}

func (k *keepers) quiet(calm bool) { k.calm.Store(calm) }

// silent is nil when no write is on its way; only quiet keepers stay so.
func (k *keepers) silent() error {
	if n := k.busy.Load(); n > 0 {
		return fmt.Errorf("%d keepers are writing", n)
	}
	return nil
}

func (k *keepers) live(keeper int, random *rand.Rand) {
	for turn := keeper; ; turn++ {
		t := time.NewTimer(keeperGap + time.Duration(random.Int64N(int64(keeperVary))))
		select {
		case <-t.C:
		case <-k.ctx.Done():
			t.Stop()
			return
		}
		k.busy.Add(1) // before it is asked: whoever makes us quiet sees one or the other
		if !k.calm.Load() && k.write(place{keeper, kind(turn % 3)}, turn) != nil {
			keeper = int(keeperPast + k.past.Add(1))
		}
		k.busy.Add(-1)
	}
}

// write makes one write until it is acknowledged; an error says that nobody
// knows whether it was made.
func (k *keepers) write(p place, turn int) error {
	value := k.value(p, turn)
	number := k.ledger.attempt(p, value)
	for try := turn / 3; k.ctx.Err() == nil; try++ {
		gateways := k.cluster.gateways()
		at := gateways[try%len(gateways)]
		err := k.send(p, value, at)
		if err == nil {
			k.ledger.acked(p, number, k.cluster.nameOf(at), time.Now())
			return nil
		}
		if k.ctx.Err() == nil {
			k.record.refused("keeper: " + reason(err))
		}
		switch {
		case !surely(err):
			return err
		case k.calm.Load():
			return nil // it was not made, and need not be
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-k.ctx.Done():
		}
	}
	return k.ctx.Err()
}

// surely is whether an error says that the write was not made: the node has
// refused it, or was not there.
func surely(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return r.code != "outcome_unknown" && r.code != "internal" && r.code != ""
	}
	var o *net.OpError
	return errors.As(err, &o) && o.Op == "dial"
}

func (k *keepers) value(p place, turn int) string {
	switch p.kind {
	case watchKind:
		return strings.Join([]string{userMRI(keeperFirst + turn), userMRI(keeperFirst + turn + 1)}, ",")
	case blockKind:
		return userMRI(1<<24 + turn) // nobody of ours
	default:
		return fmt.Sprintf("note %d", turn)
	}
}

func (k *keepers) send(p place, value, gateway string) error {
	token := k.cluster.issuer.userToken(keepTenant, p.keeper)
	ctx, cancel := context.WithTimeout(k.ctx, keeperWrites)
	defer cancel()
	switch p.kind {
	case watchKind:
		s, err := openStream(ctx, k.http, gateway, token, keeperEndpoint)
		if err != nil {
			return &refusal{http.StatusServiceUnavailable, "not_connected", err.Error()} // and so nothing was asked
		}
		defer s.close()
		return s.replace(ctx, strings.Split(value, ","))
	case blockKind:
		_, err := fetch(ctx, k.http, gateway+"/v1/me/blocks/"+value, &request{method: http.MethodPut, token: token})
		return err
	default:
		body := fmt.Sprintf(`{"source":"note","note":%q}`, value)
		_, err := fetch(ctx, k.http, gateway+"/v1/publish", &request{json: body, token: token})
		return err
	}
}

const keeperEndpoint = "kept"
