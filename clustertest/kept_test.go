package clustertest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// reading is what one node says of a place.
type reading struct {
	place  place
	node   string
	values []string
	err    error
}

// kept waits until nothing that keepers were told is written is missing at any
// node. They must be quiet.
func (p *scene) kept(most time.Duration) error {
	deadline := time.Now().Add(most)
	if err := poll(keeperWrites+time.Second, p.keepers.silent); err != nil {
		return err
	}
	writes := p.keepers.ledger.copy()
	asked := inOrder(writes)
	var findings []string
	for {
		findings, asked = p.missing(writes, asked)
		if len(findings) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(pollEvery) // between two looks at a condition with a deadline
	}
	p.figures.gone = max(p.figures.gone, len(findings))
	return errors.Join(few(findings), p.everywhere(asked))
}

// everywhere tells, of the first missing list, what each node says: it is read at
// one of them.
func (p *scene) everywhere(missing []place) error {
	i := slices.IndexFunc(missing, func(q place) bool { return q.kind == watchKind })
	if i < 0 {
		return nil
	}
	text := fmt.Sprintf("the list of keeper %d", missing[i].keeper)
	for _, n := range p.cluster.answering() {
		values, err := p.keepers.one(p.t.Context(), missing[i], "http://"+n.address(clientPort))
		text += fmt.Sprintf("; %s: %v %v", n.name, values, err)
	}
	return errors.New(text)
}

func inOrder(m map[place][]write) []place {
	var all []place
	for p := range m {
		all = append(all, p)
	}
	slices.SortFunc(all, place.compare)
	return all
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.keeper, q.keeper), cmp.Compare(p.kind, q.kind))
}

// missing reads places through every gateway and tells what is missing, and
// where.
func (p *scene) missing(writes map[place][]write, asked []place) (findings []string, where []place) {
	readings := p.keepers.read(p.t.Context(), asked, p.cluster.answering())
	for _, r := range readings {
		text := ""
		if r.err != nil {
			text = fmt.Sprintf("the %s of keeper %d cannot be read: %v", r.place.kind, r.place.keeper, r.err)
		} else {
			text = forgotten(r.place, writes[r.place], r.values, p.fresh)
		}
		if text != "" {
			findings = append(findings, r.node+": "+text)
			where = append(where, r.place)
		}
	}
	return findings, slices.Compact(where)
}

// fresh excuses what was acknowledged just before two nodes or more were ended
// that are not back: two of them may have been all that had it.
func (p *scene) fresh(w write) bool { return p.unsafeAt(w.at) }

const freshTime = 2 * time.Second

func (p *scene) unsafeAt(at time.Time) bool {
	count := 0
	for name := range p.down {
		if since, ok := p.dark[name]; ok && at.After(since.Add(-freshTime)) && !at.After(since) {
			count++
		}
	}
	return count > 1
}

// read asks each of the nodes for each of the places, lists at one node only:
// an endpoint is connected to one.
func (k *keepers) read(ctx context.Context, places []place, nodes []*node) []reading {
	var all []reading
	notes := slices.DeleteFunc(slices.Clone(places), func(p place) bool { return p.kind != noteKind })
	for _, n := range nodes {
		all = append(all, k.notes(ctx, n, notes)...)
	}
	first := len(all)
	for _, p := range places {
		for i, n := range nodes {
			if p.kind == blockKind || p.kind == watchKind && p.keeper%len(nodes) == i {
				all = append(all, reading{place: p, node: n.name})
			}
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := first; i < len(all); i++ {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r := &all[i]
			at := nodes[slices.IndexFunc(nodes, func(n *node) bool { return n.name == r.node })]
			r.values, r.err = k.one(ctx, r.place, "http://"+at.address(clientPort))
		})
	}
	wg.Wait()
	slices.SortStableFunc(all, func(a, b reading) int { return a.place.compare(b.place) })
	return all
}

func (k *keepers) one(ctx context.Context, p place, gateway string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	token := k.cluster.issuer.userToken(keepTenant, p.keeper)
	if p.kind == watchKind {
		return watchedBy(ctx, k.http, gateway, token, keeperEndpoint)
	}
	text, err := fetch(ctx, k.http, gateway+"/v1/me/blocks", &request{token: token})
	if err != nil {
		return nil, err
	}
	var answer struct{ Users []string }
	err = json.Unmarshal(text, &answer)
	return answer.Users, err
}

// notes reads many at once, as somebody else.
func (k *keepers) notes(ctx context.Context, n *node, places []place) []reading {
	var all []reading
	for part := range slices.Chunk(places, 600) {
		names := make([]string, len(part))
		for i, p := range part {
			names[i] = userMRI(p.keeper)
		}
		found, err := k.noteOf(ctx, n, names)
		for i, p := range part {
			r := reading{place: p, node: n.name, err: err}
			if text := found[strings.ToLower(names[i])]; text != "" {
				r.values = []string{text}
			}
			all = append(all, r)
		}
	}
	return all
}

func (k *keepers) noteOf(ctx context.Context, n *node, names []string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	body, err := json.Marshal(map[string]any{"users": names})
	if err != nil {
		return nil, err
	}
	ask := &request{json: string(body), token: k.cluster.issuer.userToken(keepTenant, reader)}
	text, err := fetch(ctx, k.http, "http://"+n.address(clientPort)+"/v1/presence", ask)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Items []struct {
			User string
			Note struct{ Content string }
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, it := range answer.Items {
		found[strings.ToLower(it.User)] = it.Note.Content
	}
	return found, nil
}
