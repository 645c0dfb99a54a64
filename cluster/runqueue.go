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
}

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

func (q *runQueue) pop() *link {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == nil {
		if q.closed {
			return nil
		}
		q.ready.Wait()
	}
	l := q.head
	q.head = l.next
	l.next = nil
	return l
}

func (q *runQueue) work() {
	for l := q.pop(); l != nil; l = q.pop() {
		l.run.turn()
	}
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
