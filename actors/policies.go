package actors

import (
	"maps"
	"sync"
	"sync/atomic"

	"rollcall/presence"
)

// policies is this node's copy of every tenant's policy. Reading takes no lock;
// tenants without a policy of their own share the default.
type policies struct {
	mu    sync.Mutex // of writers
	table atomic.Pointer[map[presence.TenantID]*tenantPolicy]
}

// tenantPolicy is never changed once it is in the table.
type tenantPolicy struct {
	presence.Policy
	trust *presence.Trust
}

var defaultPolicy = compile(presence.DefaultPolicy(presence.TenantID{}))

func compile(p presence.Policy) *tenantPolicy {
	return &tenantPolicy{Policy: p, trust: presence.Compile(&p)}
}

func (p *policies) load(store Store) error {
	all, err := store.Policies()
	if err != nil {
		return err
	}
	table := make(map[presence.TenantID]*tenantPolicy, len(all))
	for _, x := range all {
		table[x.Tenant] = compile(x)
	}
	p.table.Store(&table)
	return nil
}

func (p *policies) of(t presence.TenantID) *tenantPolicy {
	if own, ok := (*p.table.Load())[t]; ok {
		return own
	}
	return defaultPolicy
}

// put takes a policy unless a newer one is there already.
func (p *policies) put(x presence.Policy) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *p.table.Load()
	if known, ok := old[x.Tenant]; ok && known.Version >= x.Version {
		return false
	}
	table := maps.Clone(old)
	table[x.Tenant] = compile(x)
	p.table.Store(&table)
	return true
}
