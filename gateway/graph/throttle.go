package graph

import (
	"sync"
	"time"

	"rollcall/limit"
	"rollcall/messages"
	"rollcall/presence"
)

// Microsoft documents 1,500 requests in 30 seconds for presence, per
// application and tenant.
var rate = limit.Rate{Count: 1500, Per: 30 * time.Second, Burst: 1500}

// maxApps bounds the buckets that are kept. Only an application with a valid
// token gets one.
const maxApps = 10_000

var errThrottled = &messages.Error{Code: "rate_limited", Text: "more than 1500 requests in 30 seconds of this application in this tenant"}

type app struct {
	tenant presence.TenantID
	id     string
}

// throttle bounds the requests of each application in each tenant. It is safe
// for concurrent use.
type throttle struct {
	mu      sync.Mutex
	buckets map[app]*limit.Bucket
}

// admit takes one request, or says with the error when to come back.
func (t *throttle) admit(a app, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[a]
	if b == nil {
		b = t.add(a, now)
	}
	if ok, wait := b.Take(now, rate); !ok {
		return errThrottled.After(wait)
	}
	return nil
}

// add makes room by forgetting applications that have had their full allowance
// back, and if there is none, any one.
func (t *throttle) add(a app, now time.Time) *limit.Bucket {
	if len(t.buckets) >= maxApps {
		for k, b := range t.buckets {
			if b.Full(now) {
				delete(t.buckets, k)
			}
		}
	}
	if len(t.buckets) >= maxApps {
		for k := range t.buckets {
			delete(t.buckets, k)
			break
		}
	}
	if t.buckets == nil {
		t.buckets = make(map[app]*limit.Bucket)
	}
	b := &limit.Bucket{}
	t.buckets[a] = b
	return b
}
