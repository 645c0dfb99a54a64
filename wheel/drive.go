package wheel

import (
	"context"
	"time"
)

// Start begins to fire timers, on one goroutine, until ctx ends or Close. It is
// called once.
func (w *Wheel) Start(ctx context.Context) {
	ctx, w.stop = context.WithCancel(ctx)
	w.done.Go(func() { w.run(ctx) })
}

// Close ends the goroutine and waits for it. Timers that are armed stay armed
// and do not fire. It must not be called by Fire.
func (w *Wheel) Close() {
	if w.stop != nil {
		w.stop()
	}
	w.done.Wait()
}

func (w *Wheel) run(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(w.tick))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if ctx.Err() == nil {
				w.Advance(time.Now())
			}
		}
	}
}
