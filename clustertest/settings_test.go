package clustertest

import (
	"flag"
	"time"
)

var (
	runShort = flag.Bool("clustertest.short", false, "run the scenarios marked as short, with real processes")
	runFull  = flag.Bool("clustertest.full", false, "run every scenario, with real processes")
	nearOnly = flag.Bool("clustertest.loopback", false, "use loopback addresses even where namespaces can be made")
	tableTo  = flag.String("clustertest.table", "", "file to which the table of figures is written")
	logsTo   = flag.String("clustertest.logs", "", "directory in which the nodes' logs are kept")
	program  = flag.String("clustertest.node", "", "program to run instead of one built from cmd/node")
)

// Bounds of waits that are no measurement of their own.
const (
	patience    = 30 * time.Second       // for a node to be ready, a client to connect, a list to agree
	pollEvery   = 100 * time.Millisecond // of conditions
	publishTime = time.Minute            // for one publish, with all its attempts
)

// How the simulated users behave.
const (
	watchesEach = 10
	publishGap  = 3 * time.Second // least time between two publishes of a user: above the policy's interval between changes
	publishVary = 4 * time.Second // added evenly
	kickWithin  = time.Second     // after a fault every user that is not still publishes within this
	overHTTP    = 12              // every so manieth user has no socket
	still       = 3               // every so manieth publishes nothing after the first fault
)

// usual is how late a watcher may be without anything being wrong: the policy
// holds changes back for up to two seconds.
const usual = 2500 * time.Millisecond
