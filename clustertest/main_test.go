package clustertest

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestCluster plays the scenarios.
func TestCluster(t *testing.T) {
	if !*runShort && !*runFull {
		t.Skip("real processes run with -clustertest.short or -clustertest.full: make cluster-test-short, make cluster-test")
	}
	removeLeftovers()
	lacks := newLacks(t)
	net := newNetwork()
	t.Cleanup(func() {
		removeBuilt()
		if err := net.close(); err != nil {
			t.Error(err)
		}
	})
	defer interruptible(net)()
	if !net.bridged {
		progress("no network namespaces: %s", net.why)
		progress("the nodes live on loopback addresses, and what pulls cables is left out")
	}
	var r report
	lacks.cable = net.why
	var omitted []string
	for _, s := range scripts(t) {
		switch {
		case !s.short && !*runFull:
			continue
		case lacks.of(s) != "":
			omitted = append(omitted, fmt.Sprintf("%s (%s)", s.name, lacks.of(s)))
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			progress("%s: %s", s.name, s.title)
			f, failures := play(t, s, net)
			if len(failures) > 0 && f.stall > tooLong {
				progress("%s: FAILED, but the test itself stood still for %s: it is played once more", s.name, short(f.stall))
				t.Logf("the first time: %s", strings.Join(failures, "\n"))
				f, failures = play(t, s, net)
			}
			r.add(f)
			for _, text := range failures {
				t.Error(text)
			}
		})
	}
	table := r.table()
	fmt.Println("\n" + table)
	if len(omitted) > 0 {
		progress("LEFT OUT: %s", strings.Join(omitted, ", "))
	}
	if *tableTo != "" {
		if err := os.WriteFile(*tableTo, []byte(table), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// lacks are what this machine does not let a scenario do, and why; empty: it
// does.
type lacks struct{ cable, disk, trace string }

func newLacks(t *testing.T) lacks {
	return lacks{disk: mountable(t.TempDir()), trace: traceable()}
}

// of is why a scenario cannot be played, empty if it can.
func (l *lacks) of(s *script) string {
	switch {
	case s.cable && l.cable != "":
		return l.cable
	case s.disk && l.disk != "":
		return l.disk
	case s.trace && l.trace != "":
		return l.trace
	}
	return ""
}

// interruptible makes an interrupted run take its network away. Its processes
// end with it.
func interruptible(net *network) (done func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			progress("%s: removing the network", s)
			_ = net.close() // what is left, the next run removes
			removeBuilt()
			os.Exit(1)
		case <-over:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
		<-ended
	}
}
