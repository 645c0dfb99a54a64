package actors

import (
	"maps"
	"sync"
	"sync/atomic"

	"rollcall/presence"
)

// maxDefaults bounds the compiled policies of tenants that never set one: a
// client can name any tenant.
const maxDefaults = 10_000

// policies is this node's copy of every tenant's policy. Tenants without one of
// their own get the default.
type policies struct {
	mu    sync.Mutex // of writers
	table atomic.Pointer[map[presence.TenantID]*tenantPolicy]

	defaultsMu sync.RWMutex
	defaults   map[presence.TenantID]*tenantPolicy
}

// tenantPolicy is never changed once it is in the table.
type tenantPolicy struct {
	presence.Policy
	trust *presence.Trust
}

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
	p.defaultsMu.RLock()
	known, ok := p.defaults[t]
	p.defaultsMu.RUnlock()
	if ok {
		return known
	}
	return p.addDefault(t)
}

func (p *policies) addDefault(t presence.TenantID) *tenantPolicy {
	own := compile(presence.DefaultPolicy(t))
	p.defaultsMu.Lock()
	defer p.defaultsMu.Unlock()
	if p.defaults == nil || len(p.defaults) >= maxDefaults {
		p.defaults = map[presence.TenantID]*tenantPolicy{}
	}
	p.defaults[t] = own
	return own
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
