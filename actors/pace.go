package actors

import (
	"time"

	"rollcall/cluster"
	"rollcall/limit"
	"rollcall/wheel"
)

// paceBurst is how many announcements may follow each other at once; then they
// come a little slower than one per interval, so that ten changes a second for
// a minute stay within the 32 announcements that one per two seconds would give.
const paceBurst = 3

type paceBucket struct{ bucket limit.Bucket }

func (b *paceBucket) take(now time.Time, every time.Duration) (bool, time.Duration) {
	slower := max(every+every/10, time.Millisecond)
	return b.bucket.Take(now, limit.Rate{Count: 1, Per: slower, Burst: paceBurst})
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
