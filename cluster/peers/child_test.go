package peers

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	proto "github.com/asynkron/protoactor-go/cluster"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// childVariable holds the settings of a process that is one node:
// protoactor's remote changes global state when it starts, so that two in one
// process race.
const childVariable = "ROLLCALL_TEST_PEERS"

type childSettings struct {
	ID          string
	Incarnation uint64
	Cluster     string
	Bind        string
	Secrets     string
}

// childReport is what a node has seen.
type childReport struct {
	Routed, Returned, Notifies, Deliveries int
	Disorder                               int // routed messages whose number was not the next one
	Lost, Undelivered                      int
	Suspicions                             []bool
	CPU                                    time.Duration // of the process
	RSS                                    int           // KiB
	Refused                                map[string]float64
	Metrics                                map[string]float64
	Status                                 []Status
	Took                                   time.Duration
	Errors                                 map[string]int
}

type child struct {
	settings childSettings
	peers    *Peers
	system   *actor.ActorSystem
	registry *prometheus.Registry

	mu     sync.Mutex
	report childReport
	shown  [4096]int // states by endpoint
	next   map[string]uint64
	sent   map[string]uint64
}

func runChild() {
	c := &child{next: map[string]uint64{}, sent: map[string]uint64{}, registry: prometheus.NewRegistry()}
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &c.settings); err != nil {
		panic(err)
	}
	leak := goleak.IgnoreCurrent()
	quiet := slog.New(slog.DiscardHandler)
	c.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	c.system.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) {
		return &virtualEcho{c.system}, pid.Address == VirtualSpace
	})
	w := wheel.New(time.Millisecond, 4096)
	ctx, cancel := contextOfProcess()
	defer cancel()
	w.Start(ctx)
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	var credentials *Credentials
	if c.settings.Secrets != "" {
		var err error
		if credentials, err = LoadCredentials(c.settings.Secrets, c.settings.Cluster, log, time.Now); err != nil {
			fmt.Println("error", err)
			return
		}
	}
	start := time.Now()
	var err error
	c.peers, err = Start(Config{
		System: c.system, Cluster: c.settings.Cluster, Bind: c.settings.Bind, Credentials: credentials,
		Self: topology.Member{
			ID: c.settings.ID, Incarnation: c.settings.Incarnation, Roles: topology.Gateway | topology.Presence,
		},
		Log: log, Wheel: w, Now: time.Now, Registerer: c.registry,
		Hooks: Hooks{
			Header:  func() (uint64, uint64) { return 7, 9 },
			Receive: c.receive,
			Lost:    func(string) { c.count(func(r *childReport) { r.Lost++ }) },
			Suspect: func(_ string, is bool) {
				c.count(func(r *childReport) { r.Suspicions = append(r.Suspicions, is) })
			},
			Undelivered: func(_ string, queued []*messages.Routed) {
				c.count(func(r *childReport) { r.Undelivered += len(queued) })
			},
		},
	})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println(c.peers.Addr(), time.Since(start))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(c.command(strings.Fields(in.Text())))
	}
	c.peers.Close()
	w.Close()
	var left error
	for range 5 { // protoactor's throttle of dead letters ends a second after the last one
		if left = goleak.Find(leak); left == nil {
			return
		}
	}
	fmt.Fprintln(os.Stderr, "LEAK", left)
	os.Exit(3)
}

func (c *child) count(f func(*childReport)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.report)
}

func (c *child) receive(from string, e *messages.Envelope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range e.Routed {
		if r.ReplyId != c.next[from]+1 {
			c.report.Disorder++
		}
		c.next[from] = r.ReplyId
		c.report.Routed++
		if r.Type == "bounce" {
			if err := c.peers.Return(from, r); err != nil {
				c.report.Errors[err.Error()]++
			}
		}
	}
	c.report.Returned += len(e.Returned)
	for _, n := range e.Notifies {
		c.show(n)
	}
}

// show counts the state for each endpoint that shows it.
func (c *child) show(n *messages.Notify) {
	c.report.Notifies++
	c.report.Deliveries += len(n.Endpoints)
	for _, e := range n.Endpoints {
		c.shown[e%uint32(len(c.shown))]++
	}
}

// virtualEcho answers every message to a virtual actor.
type virtualEcho struct{ system *actor.ActorSystem }

func (v *virtualEcho) SendUserMessage(pid *actor.PID, envelope any) {
	_, _, sender := actor.UnwrapEnvelope(envelope)
	v.system.Root.Send(sender, &messages.Presence{Version: 42, User: &messages.User{Mri: pid.Id}})
}
func (v *virtualEcho) SendSystemMessage(*actor.PID, any) {}
func (v *virtualEcho) Stop(*actor.PID)                   {}

func (c *child) command(words []string) string {
	number := func(i int) int {
		n, err := strconv.Atoi(words[i])
		if err != nil {
			panic(err)
		}
		return n
	}
	switch words[0] {
	case "members": // id=incarnation=address ...
		list := []topology.Member{{ID: c.settings.ID, Incarnation: c.settings.Incarnation, Roles: topology.Presence}}
		for _, w := range words[1:] {
			f := strings.Split(w, "=")
			inc, _ := strconv.ParseUint(f[1], 10, 64)
			list = append(list, topology.Member{ID: f[0], Incarnation: inc, Addr: f[2], Roles: topology.Presence})
		}
		c.peers.SetMembers(list)
		return "ok"
	case "send": // to, how many, body size, type
		return c.send(words[1], number(2), number(3), words[4])
	case "notify": // to, how many, endpoints
		return c.notify(words[1], number(2), number(3))
	case "notifyself": // how many, endpoints: the same within the process
		return c.notifySelf(number(1), number(2))
	case "report":
		return c.reportLine()
	case "request":
		got, err := proto.GetCluster(c.system).Request("tenant/8:x", "user", &messages.Read{})
		return fmt.Sprint(got, " ", err)
	case "raw": // a message that is not a frame, to any actor of the address
		c.system.Root.Send(actor.NewPID(words[1], words[2]), &messages.Read{})
		return "ok"
	case "frame":
		c.system.Root.Send(actor.NewPID(words[1], words[2]), &messages.Frame{})
		return "ok"
	case "garbage":
		c.system.Root.Send(actor.NewPID(words[1], words[2]), &messages.Frame{Envelope: []byte("rubbish")})
		return "ok"
	case "huge": // address, bytes: a frame of that size
		c.system.Root.Send(actor.NewPID(words[1], ingressName), &messages.Frame{Envelope: make([]byte, number(2))})
		return "ok"
	case "old": // an envelope of an older protocol than any
		c.system.Root.Send(actor.NewPID(words[1], ingressName), encode(&messages.Envelope{
			Cluster: c.settings.Cluster, From: c.settings.ID, Incarnation: c.settings.Incarnation, Seq: 1, Stream: 1,
			Routed: []*messages.Routed{{Actor: "user/x"}},
		}))
		return "ok"
	case "stopactor":
		c.system.Root.Stop(actor.NewPID(words[1], words[2]))
		return "ok"
	case "protomembers":
		return fmt.Sprint(proto.GetCluster(c.system).MemberList.Length())
	case "profile":
		f, _ := os.Create(words[1])
		_ = pprof.StartCPUProfile(f)
		return "ok"
	case "endprofile":
		pprof.StopCPUProfile()
		return "ok"
	case "close":
		start := time.Now()
		c.peers.Close()
		c.peers.Close()
		return fmt.Sprint("closed ", time.Since(start))
	}
	return "error unknown command"
}

func (c *child) send(to string, n, size int, kind string) string {
	var failed int
	for range n {
		c.sent[to]++
		r := &messages.Routed{Actor: "user/x", Type: kind, Body: make([]byte, size), ReplyId: c.sent[to]}
		for {
			err := c.peers.Send(to, r)
			if err == nil {
				break
			}
			if kind == "wait" && errors.Is(err, ErrOverloaded) {
				time.Sleep(100 * time.Microsecond)
				continue
			}
			failed++
			c.sent[to]--
			break
		}
	}
	return strconv.Itoa(failed)
}

func (c *child) notify(to string, n, endpoints int) string {
	shed := 0
	for i, m := range publishes(n, endpoints) {
		for errors.Is(c.peers.Notify(to, m), ErrOverloaded) {
			shed++
			time.Sleep(50 * time.Microsecond)
		}
		if i%500 == 499 { // leaves the queue time to drain, so that nothing is coalesced
			for c.peers.Status()[0].Queued > 2000 {
				time.Sleep(50 * time.Microsecond)
			}
		}
	}
	return strconv.Itoa(shed)
}

// notifySelf hands the same states over to a queue of this process.
func (c *child) notifySelf(n, endpoints int) string {
	queue := make(chan *messages.Notify, 1024)
	var done sync.WaitGroup
	done.Go(func() {
		for m := range queue {
			c.count(func(*childReport) { c.show(m) })
		}
	})
	for _, m := range publishes(n, endpoints) {
		queue <- m
	}
	close(queue)
	done.Wait()
	return "ok"
}

// publishes yields what n publishes make one gateway show at so many endpoints:
// a state of 120 bytes each.
func publishes(n, endpoints int) iter.Seq2[int, *messages.Notify] {
	list := make([]uint32, endpoints)
	for i := range list {
		list[i] = uint32(100 + 37*i)
	}
	state := make([]byte, 120)
	users := make([]*messages.User, 10_000)
	for i := range users {
		users[i] = &messages.User{Tenant: []byte("0123456789abcdef"), Mri: fmt.Sprintf("8:orgid:%036d", i)}
	}
	return func(yield func(int, *messages.Notify) bool) {
		for i := range n {
			m := &messages.Notify{
				Publisher: users[i%len(users)], Version: uint64(i), State: state, Endpoints: list, Received: int64(i),
			}
			if !yield(i, m) {
				return
			}
		}
	}
}

func (c *child) reportLine() string {
	c.mu.Lock()
	r := c.report
	c.mu.Unlock()
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	r.CPU = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	r.RSS = rss()
	r.Status = c.peers.Status()
	r.Refused, r.Metrics = map[string]float64{}, map[string]float64{}
	families, err := c.registry.Gather()
	if err != nil {
		return "error " + err.Error()
	}
	for _, f := range families {
		for _, m := range f.Metric {
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			r.Metrics[f.GetName()] += v
			if f.GetName() == "rollcall_peers_refused_total" {
				r.Refused[m.Label[0].GetValue()] += v
			}
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "error " + err.Error()
	}
	return string(b)
}

func rss() int {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}
