package actors

import (
	"time"

	"rollcall/cluster"
	"rollcall/limit"
	"rollcall/wheel"
)

// paceBurst is how many announcements may follow each other at once; then one
// per interval. Ten changes a second for a minute become 32 announcements at
// the default of two seconds.
const paceBurst = 2

type paceBucket struct{ bucket limit.Bucket }

func (b *paceBucket) take(now time.Time, every time.Duration) (bool, time.Duration) {
	return b.bucket.Take(now, limit.Rate{Count: 1, Per: max(every, time.Millisecond), Burst: paceBurst})
}

// paceTimer posts a paceTick when the next announcement may go out.
type paceTimer struct {
	mailbox *cluster.Mailbox
	timer   wheel.Timer
}

func newPacing(m *cluster.Mailbox) *pacing {
	p := &pacing{paceTimer: paceTimer{mailbox: m}}
	p.timer.Target = &p.paceTimer
	return p
}

// Fire is called by the wheel.
func (p *paceTimer) Fire(*wheel.Timer, time.Time) { p.mailbox.PostOwn(paceTick{}) }
