package presence

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func tenant(n int) TenantID { return TenantID{0: byte(n), 8: 1} }

// trustsByBook is the rule read off the page.
func trustsByBook(p Policy, o TenantID) bool {
	switch p.Federation {
	case Open:
		return true
	case AllowList:
		return slices.Contains(p.List, o)
	}
	return !slices.Contains(p.List, o)
}

func genPolicy(t *rapid.T, id TenantID) Policy {
	p := DefaultPolicy(id)
	p.Federation = Federation(rapid.IntRange(0, 2).Draw(t, "federation"))
	p.Privacy = rapid.IntRange(0, 3).Draw(t, "privacy") == 0
	for _, n := range rapid.SliceOfN(rapid.IntRange(1, 6), 0, 12).Draw(t, "list") {
		p.List = append(p.List, tenant(n))
	}
	return p
}

func TestDecideFollowsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		viewer := UserID{tenant(rapid.IntRange(1, 6).Draw(t, "viewer")), rapid.SampledFrom([]string{"8:v", "8:p"}).Draw(t, "mri")}
		publisher := UserID{tenant(rapid.IntRange(1, 6).Draw(t, "publisher")), "8:p"}
		vp, pp := genPolicy(t, viewer.Tenant), genPolicy(t, publisher.Tenant)
		blocked := rapid.Bool().Draw(t, "blocked")
		outside := viewer.Tenant != publisher.Tenant
		var want View
		switch {
		case outside && (pp.Privacy || !trustsByBook(vp, publisher.Tenant) || !trustsByBook(pp, viewer.Tenant)):
			want = Unknown
		case blocked && viewer != publisher:
			want = Hidden
		default:
			want = Full
		}
		if got := Decide(viewer, publisher, Compile(&vp), Compile(&pp), blocked); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestDecideTrustsNobodyByMistake(t *testing.T) {
	a, b := DefaultPolicy(tenantA), DefaultPolicy(tenantB)
	ta, tb := Compile(&a), Compile(&b)
	odd := a
	odd.Federation = 77
	for name, got := range map[string]View{
		"no viewer trust":      Decide(bob, alice, nil, ta, false),
		"no publisher trust":   Decide(bob, alice, tb, nil, false),
		"zero trusts":          Decide(bob, alice, &Trust{}, &Trust{}, false),
		"trusts mixed up":      Decide(bob, alice, ta, tb, false),
		"one trust for both":   Decide(bob, alice, ta, ta, false),
		"no tenants":           Decide(UserID{MRI: "8:a"}, UserID{MRI: "8:b"}, nil, nil, false),
		"unknown federation":   Decide(bob, alice, tb, Compile(&odd), false),
		"blocked and no trust": Decide(bob, alice, tb, nil, true),
	} {
		if got != Unknown {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := Decide(bob, alice, tb, ta, false); got != Full {
		t.Errorf("open tenants: %s", got)
	}
	if got := Decide(adam, alice, nil, nil, false); got != Full {
		t.Errorf("a colleague needs no trust: %s", got)
	}
	if got := Decide(alice, alice, ta, ta, true); got != Full {
		t.Errorf("a user who blocked herself: %s", got)
	}
}

func TestCompileOfAFullList(t *testing.T) {
	p := DefaultPolicy(tenantA)
	p.Federation = AllowList
	for i := range MaxFederation {
		p.List = append(p.List, TenantID{2: byte(i), 3: byte(i >> 8), 15: 7})
	}
	trust := Compile(&p)
	for i := range 2 * MaxFederation {
		o := TenantID{2: byte(i), 3: byte(i >> 8), 15: 7}
		if got := trust.trusts(o); got != (i < MaxFederation) {
			t.Fatalf("tenant %d trusted: %t", i, got)
		}
	}
	p.List[0] = tenantB
	if trust.trusts(tenantB) {
		t.Error("a compiled trust changed with its policy")
	}
}

func TestPolicyCheck(t *testing.T) {
	p := DefaultPolicy(tenantA)
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*Policy)
		ok     bool
	}{
		"no tenant":            {func(p *Policy) { p.Tenant = TenantID{} }, false},
		"org":                  {func(p *Policy) { p.Org = "contoso.example-1" }, true},
		"org with slash":       {func(p *Policy) { p.Org = "a/b" }, false},
		"long org":             {func(p *Policy) { p.Org = string(make([]byte, 65)) }, false},
		"unknown federation":   {func(p *Policy) { p.Federation = 3 }, false},
		"list":                 {func(p *Policy) { p.List = []TenantID{tenantB, tenantB} }, true},
		"zero on the list":     {func(p *Policy) { p.List = []TenantID{tenantB, {}} }, false},
		"long list":            {func(p *Policy) { p.List = slices.Repeat([]TenantID{tenantB}, MaxFederation+1) }, false},
		"zero idle time":       {func(p *Policy) { p.Rules.IdleAfter = 0 }, false},
		"short idle time":      {func(p *Policy) { p.Rules.IdleAfter = time.Second }, true},
		"away before idle":     {func(p *Policy) { p.Rules.AwayAfter = p.Rules.IdleAfter }, false},
		"away in a day":        {func(p *Policy) { p.Rules.AwayAfter = 24 * time.Hour }, true},
		"away in two days":     {func(p *Policy) { p.Rules.AwayAfter = 48 * time.Hour }, false},
		"grace 5 s":            {func(p *Policy) { p.Grace = 5 * time.Second }, true},
		"grace under 5 s":      {func(p *Policy) { p.Grace = 5*time.Second - 1 }, false},
		"grace 120 s":          {func(p *Policy) { p.Grace = 2 * time.Minute }, true},
		"grace over 120 s":     {func(p *Policy) { p.Grace = 2*time.Minute + 1 }, false},
		"no change interval":   {func(p *Policy) { p.ChangeInterval = 0 }, true},
		"negative interval":    {func(p *Policy) { p.ChangeInterval = -1 }, false},
		"long interval":        {func(p *Policy) { p.ChangeInterval = time.Minute + 1 }, false},
		"lower quota":          {func(p *Policy) { p.Quotas.Endpoints = 1 }, true},
		"zero endpoints":       {func(p *Policy) { p.Quotas.Endpoints = 0 }, false},
		"endpoints":            {func(p *Policy) { p.Quotas.Endpoints++ }, false},
		"watches":              {func(p *Policy) { p.Quotas.WatchesPerEndpoint++ }, false},
		"watchers":             {func(p *Policy) { p.Quotas.Watchers++ }, false},
		"coalescing":           {func(p *Policy) { p.Quotas.CoalesceAt++ }, false},
		"device rate":          {func(p *Policy) { p.Quotas.DevicePublish.PerMinute++ }, false},
		"device burst":         {func(p *Policy) { p.Quotas.DevicePublish.Burst++ }, false},
		"user rate":            {func(p *Policy) { p.Quotas.UserPublish.PerMinute++ }, false},
		"user burst":           {func(p *Policy) { p.Quotas.UserPublish.Burst = -1 }, false},
		"tenant rate":          {func(p *Policy) { p.Quotas.TenantPublishPerUser++ }, false},
		"targets in an hour":   {func(p *Policy) { p.Quotas.TargetsHour++ }, false},
		"targets in a day":     {func(p *Policy) { p.Quotas.TargetsDay++ }, false},
		"quotas not filled in": {func(p *Policy) { p.Quotas = Quotas{} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := DefaultPolicy(tenantA)
			tt.change(&p)
			if err := p.Check(); (err == nil) != tt.ok || err != nil && !isError(err, ErrPolicy) {
				t.Errorf("got %v", err)
			}
		})
	}
}
