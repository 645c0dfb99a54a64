package copies

import (
	"sync"
)

// Bounds of what waits to be read.
const (
	maxUrgent = 16 << 10
	maxBulk   = 8 << 10
)

// readers do what reads the disk or takes long, so that who receives or commits
// need not wait. There are two: one does what somebody waits for, the other
// that and the rest.
type readers struct {
	mu      sync.Mutex
	arrived sync.Cond
	urgent  []func()
	bulk    []func()
	closed  bool
}

func (r *readers) init() { r.arrived.L = &r.mu }

func (r *readers) start(wg *sync.WaitGroup) {
	wg.Go(func() { r.run(false) })
	wg.Go(func() { r.run(true) })
}

// soon queues what somebody waits for; false if there is no room.
func (r *readers) soon(job func()) bool { return r.add(&r.urgent, maxUrgent, job) }

// later queues what nobody waits for; false if there is no room.
func (r *readers) later(job func()) bool { return r.add(&r.bulk, maxBulk, job) }

func (r *readers) add(queue *[]func(), most int, job func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(*queue) >= most {
		return false
	}
	*queue = append(*queue, job)
	r.arrived.Broadcast()
	return true
}

// close leaves undone what has not begun.
func (r *readers) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.urgent, r.bulk = true, nil, nil
	r.arrived.Broadcast()
}

func (r *readers) run(bulk bool) {
	for {
		job := r.take(bulk)
		if job == nil {
			return
		}
		job()
	}
}

func (r *readers) take(bulk bool) (job func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		from := &r.urgent
		if len(*from) == 0 && bulk {
			from = &r.bulk
		}
		if len(*from) > 0 {
			job, (*from)[0] = (*from)[0], nil
			*from = (*from)[1:]
			return job
		}
		if r.closed {
			return nil
		}
		r.arrived.Wait()
	}
}
