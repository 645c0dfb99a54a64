package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/client"
	"rollcall/presence"
)

// outsider watches users of the crowd from another tenant.
type outsider struct {
	client  *client.Client
	watches []int
}

const (
	outsiderFirst   = 1 << 21
	outsiderWatches = 5
)

// comeOutside brings so many on line, spread over the gateways.
func (p *scene) comeOutside(count int) error {
	for i := range count {
		gateways := p.cluster.gateways()
		at := i % len(gateways)
		ctx, cancel := context.WithTimeout(p.t.Context(), patience)
		defer cancel()
		c, err := client.Dial(ctx, client.Config{
			Servers:  append(gateways[at:len(gateways):len(gateways)], gateways[:at]...),
			Token:    client.StaticToken(p.cluster.issuer.userToken(farTenant, outsiderFirst+i)),
			Endpoint: fmt.Sprintf("far-%d", i), OnChange: func(client.Presence) {},
		})
		if err != nil {
			return err
		}
		o := &outsider{client: c}
		p.outsiders = append(p.outsiders, o)
		var names []string
		for j := range outsiderWatches {
			w := (i*7 + j*11) % len(p.crowd.users)
			o.watches, names = append(o.watches, w), append(names, abroad(w))
		}
		if err := c.Watch(ctx, names...); err != nil {
			return err
		}
	}
	return p.obeyed(patience)
}

// abroad is what a user is called in another tenant.
func abroad(user int) string { return tenantText + "/" + userMRI(user) }

// shutOut tells a node the policy of the crowd's tenant: closed for those
// outside, or open. Dying, the node is killed as soon as it has acknowledged.
func (p *scene) shutOut(n *node, closed, dying bool) error {
	body := `{"federation":"open"}`
	if closed {
		body = fmt.Sprintf(`{"federation":"blockList","tenants":[%q]}`, farTenant)
	}
	if dying {
		p.begin(n)
	}
	ask := &request{method: http.MethodPut, json: body, token: p.cluster.issuer.appToken()}
	text, err := fetch(p.t.Context(), p.keepers.http, "http://"+n.address(clientPort)+policyPath, ask)
	if err == nil && dying {
		err = errors.Join(n.signal(killSignal), p.ended(n))
	}
	p.closed, p.decided = closed, time.Now()
	if err != nil {
		return err
	}
	var answer struct{ Version string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	v, err := presence.ParseVersion(answer.Version)
	p.policies[v] = true
	return err
}

const policyPath = "/admin/v1/tenants/" + tenantText + "/policy"

// obeyed waits until every node has the policy that was told last and those
// outside see what they may, from when it was told the first time.
func (p *scene) obeyed(most time.Duration) error {
	if p.decided.IsZero() {
		p.decided = time.Now()
	}
	err := poll(time.Until(p.decided.Add(most)), func() error {
		want := "open"
		if p.closed {
			want = "blockList"
		}
		for _, n := range p.cluster.answering() {
			got, err := p.policyOf(n)
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%s has the policy %s, and it is %s", n.name, got, want)
			}
		}
		return few(p.trespasses())
	})
	p.figures.policy = max(p.figures.policy, time.Since(p.decided))
	p.decided = time.Time{} // the next look is at whether it stays so
	return err
}

func (p *scene) policyOf(n *node) (string, error) {
	ask := &request{token: p.cluster.issuer.appToken()}
	text, err := fetch(p.t.Context(), p.cluster.http, "http://"+n.address(clientPort)+policyPath, ask)
	if err != nil {
		return "", fmt.Errorf("%s: %w", n.name, err)
	}
	var answer struct{ Federation string }
	err = json.Unmarshal(text, &answer)
	return answer.Federation, err
}

// trespasses are those outside who see what they may not, or do not see what
// they may.
func (p *scene) trespasses() []string {
	have := map[pair]presence.Availability{}
	for i, o := range p.outsiders {
		for _, w := range o.watches {
			shown, ok := o.client.Presence(abroad(w))
			if ok {
				have[pair{i, w}] = shown.Availability
			} else {
				have[pair{i, w}] = presence.PresenceUnknown
			}
		}
	}
	return trespass(have, p.closed)
}

// trespass finds watchers of another tenant who are shown something although it
// is shut out, or nothing although it is not.
func trespass(have map[pair]presence.Availability, closed bool) []string {
	var out []string
	for p, a := range have {
		if hidden := a == presence.PresenceUnknown; hidden != closed {
			out = append(out, fmt.Sprintf("outsider %d sees user %d as %s", p.watcher, p.user, strings.ToLower(a.String())))
		}
	}
	return out
}
