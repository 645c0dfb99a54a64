package target

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Sample is what a node, or several together, says of itself at a moment.
type Sample struct {
	CPU          float64 // s, since the start of the process
	Memory       float64 // resident bytes, files that are mapped included
	Heap         float64 // bytes
	Goroutines   float64
	Sockets      float64
	Deliveries   float64 // items sent to endpoints for the first time
	Acknowledged float64
	Resends      float64 // batches
	Resyncs      float64
	SlowClients  float64
	Publishes    float64
	Visible      float64 // of them, those that others could see
}

// fields are the names of the metrics, and where they go.
func (s *Sample) fields() map[string]*float64 {
	return map[string]*float64{
		"process_cpu_seconds_total":      &s.CPU,
		"process_resident_memory_bytes":  &s.Memory,
		"go_memstats_heap_alloc_bytes":   &s.Heap,
		"go_goroutines":                  &s.Goroutines,
		"rollcall_sockets":               &s.Sockets,
		"rollcall_deliveries_total":      &s.Deliveries,
		"rollcall_acknowledged_total":    &s.Acknowledged,
		"rollcall_resends_total":         &s.Resends,
		"rollcall_resyncs_total":         &s.Resyncs,
		"rollcall_slow_clients_total":    &s.SlowClients,
		"rollcall_publishes_total":       &s.Publishes,
		"rollcall_visible_changes_total": &s.Visible,
	}
}

// mostMetrics is far above what a node has to say, in bytes.
const mostMetrics = 4 << 20

// Scrape reads the metrics of nodes, by the URLs of their admin listeners, and
// adds them up.
func Scrape(ctx context.Context, admins []string) (Sample, error) {
	var sum Sample
	for _, admin := range admins {
		if err := scrape(ctx, admin, &sum); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func scrape(ctx context.Context, admin string, into *Sample) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(admin, "/")+"/metrics", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("metrics: %s/metrics is answered %s: name the node's admin listener", admin, res.Status)
	}
	found := parseMetrics(io.LimitReader(res.Body, mostMetrics), into)
	if found == 0 {
		return fmt.Errorf("metrics: %s/metrics has none of a node's", admin)
	}
	return nil
}

// parseMetrics adds what it knows of a text exposition; lines that it does not
// understand are nothing to it.
func parseMetrics(r io.Reader, into *Sample) (found int) {
	known := into.fields()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		at, ok := known[name]
		if !ok {
			continue
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && v >= 0 && v < 1e18 {
			*at += v
			found++
		}
	}
	return found
}
