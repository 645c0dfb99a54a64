package cluster

import (
	"runtime"
	"sync"
)

// link makes its owner an element of a run queue. The queue allocates nothing
// and holds an element at most once.
type link struct {
	next *link
	run  runnable
}

type runnable interface{ turn() }

// runQueues runs mailboxes on one goroutine per processor. A turn must not
// block: everything behind it on the same processor would wait.
type runQueues struct {
	queues []runQueue
	wg     sync.WaitGroup
}

type runQueue struct {
	mu         sync.Mutex
	ready      sync.Cond
	head, tail *link
	closed     bool

	// The worker's own: mailboxes that asked for a flush, and the turns since
	// the last one.
	flushes flushList
	turns   int
}

// flushEvery is how many turns may go ahead of a flush that waits: under load
// flushes wait for each other's work, and each writes more at once; none waits
// for ever.
const flushEvery = 16

func startRunQueues() *runQueues {
	r := &runQueues{queues: make([]runQueue, min(runtime.GOMAXPROCS(0), 256))}
	for i := range r.queues {
		q := &r.queues[i]
		q.ready.L = &q.mu
		r.wg.Go(q.work)
	}
	return r
}

func (r *runQueues) pick(n uint64) *runQueue { return &r.queues[n%uint64(len(r.queues))] }

// close lets the workers finish what is queued and waits for them.
func (r *runQueues) close() {
	for i := range r.queues {
		q := &r.queues[i]
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		q.ready.Signal()
	}
	r.wg.Wait()
}

func (q *runQueue) push(l *link) {
	q.mu.Lock()
	idle := q.head == nil
	if idle {
		q.head = l
	} else {
		q.tail.next = l
	}
	q.tail = l
	q.mu.Unlock()
	if idle {
		q.ready.Signal()
	}
}

// pop takes the next turn. Without wait it may find none; it is over when the
// queue is closed and empty.
func (q *runQueue) pop(wait bool) (l *link, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == nil {
		if q.closed || !wait {
			return nil, q.closed
		}
		q.ready.Wait()
	}
	l = q.head
	q.head = l.next
	l.next = nil
	return l, false
}

// work runs turns first and flushes when there are none, or when their time has
// come.
func (q *runQueue) work() {
	for {
		l, over := q.pop(q.flushes.head == nil)
		if l != nil {
			l.run.turn()
			q.turns++
		}
		if m := q.flushes.head; m != nil && (l == nil || q.turns >= flushEvery) {
			q.turns = 0
			q.flushes.pop()
			m.flushed()
		} else if over && l == nil {
			return
		}
	}
}

// flushList is a queue of mailboxes, each in it at most once.
type flushList struct{ head, tail *Mailbox }

func (f *flushList) push(m *Mailbox) {
	if f.head == nil {
		f.head = m
	} else {
		f.tail.nextFlush = m
	}
	f.tail = m
}

func (f *flushList) pop() {
	m := f.head
	f.head, m.nextFlush = m.nextFlush, nil
}

// job is a piece of work without a mailbox.
type job struct {
	link
	f func()
}

func (j *job) turn() { j.f() }

// Go runs f on the run queues after what is queued there now. f must not block.
func (n *Node) Go(f func()) {
	j := &job{f: f}
	j.link.run = j
	n.run.pick(n.plain.Add(1)).push(&j.link)
}
