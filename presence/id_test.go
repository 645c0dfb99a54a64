package presence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const guid = "6e0f1c2a-9b7d-4c3e-8f10-0123456789ab"

func TestParseTenant(t *testing.T) {
	id, err := ParseTenant(strings.ToUpper(guid))
	if err != nil || id.String() != guid {
		t.Errorf("got %s, %v", id, err)
	}
	for _, s := range []string{"", "x", strings.ReplaceAll(guid, "-", ""), "{" + guid + "}", guid + "0", guid[1:],
		"6e0f1c2a-9b7d-4c3e-8f1000123456789ab", "6e0f1c2a09b7d-4c3e-8f10-0123456789ab", "ge0f1c2a-9b7d-4c3e-8f10-0123456789ab",
		"00000000-0000-0000-0000-000000000000", "urn:uuid:" + guid, "é0f1c2a-9b7d-4c3e-8f10-0123456789ab"} {
		if id, err := ParseTenant(s); !isError(err, ErrBadID) || id != (TenantID{}) {
			t.Errorf("%q: %s, %v", s, id, err)
		}
	}
}

func TestParseMRI(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"8:orgid:" + guid, "8:orgid:" + guid},
		{"8:OrgID:" + strings.ToUpper(guid), "8:orgid:" + guid},
		{"8:live:Some.One_1", "8:live:Some.One_1"},
		{"8:x", "8:x"}, {"4:+15550100", "4:+15550100"}, {"2:sip@example.com", "2:sip@example.com"},
		{"19:abc@thread.v2", "19:abc@thread.v2"}, {"8:" + strings.Repeat("x", 126), "8:" + strings.Repeat("x", 126)},
	} {
		if got, err := ParseMRI(tt.in); err != nil || got != tt.want {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
	}
	for _, s := range []string{"", "8", "8:", ":x", "x:y", "8x:y", "08:x", "-8:x", "8:a b", "8:a/b", "8:\x00", "8:é", "8:a\n",
		"8:orgid:", "8:orgid:" + guid[1:], "8:ORGID:x", "8:" + strings.Repeat("x", 127)} {
		if got, err := ParseMRI(s); !isError(err, ErrBadID) || got != "" {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want UserID
	}{
		{"8:x", UserID{tenantA, "8:x"}},
		{"8:orgid:" + strings.ToUpper(guid), UserID{tenantA, "8:orgid:" + guid}},
		{tenantB.String() + "/8:x", UserID{tenantB, "8:x"}},
	} {
		if got, err := ParseTarget(tt.in, tenantA); err != nil || got != tt.want {
			t.Errorf("%q: %s, %v", tt.in, got, err)
		}
	}
	for _, s := range []string{"", "/", "/8:x", "x/8:x", tenantB.String() + "/", tenantB.String() + "/8:x/y", TenantID{}.String() + "/8:x"} {
		if got, err := ParseTarget(s, tenantA); !isError(err, ErrBadID) || got != (UserID{}) {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
	if _, err := ParseTarget("8:x", TenantID{}); !isError(err, ErrBadID) {
		t.Errorf("without a home: %v", err)
	}
}

func TestOrgUser(t *testing.T) {
	u, err := OrgUser(tenantA, strings.ToUpper(guid))
	if g, ok := u.GUID(); err != nil || !ok || g != guid {
		t.Errorf("got %s, %v", u, err)
	}
	for _, s := range []string{"", "someone@example.com", guid + "/x", "../" + guid} {
		if u, err := OrgUser(tenantA, s); !isError(err, ErrBadID) {
			t.Errorf("%q: %s, %v", s, u, err)
		}
	}
	if g, ok := (UserID{tenantA, "8:live:x"}).GUID(); ok {
		t.Errorf("a consumer has the GUID %q", g)
	}
}

func TestTracked(t *testing.T) {
	for mri, want := range map[string]bool{
		"8:orgid:" + guid: true, "8:live:x": true, "8:acs:x": true, "8:someone": true, "8:teamsvisitor:x": true,
		"2:sip@example.com": true, "1:x": true, "4:+15550100": false, "19:x": false, "28:" + guid: false, "48:notes": false, "88:x": false,
	} {
		if got := (UserID{tenantA, mri}).Tracked(); got != want {
			t.Errorf("%s tracked: %t", mri, got)
		}
	}
}

// These numbers say where stored users are. If this test fails, the code is
// wrong, not the test.
func TestShardGolden(t *testing.T) {
	one, err := ParseTenant("11111111-2222-3333-4444-555555555555")
	two, err2 := ParseTenant("0000000a-0000-0000-0000-00000000000b")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	for _, tt := range []struct {
		u    UserID
		want uint16
	}{
		{UserID{one, "8:orgid:6e0f1c2a-9b7d-4c3e-8f10-0123456789ab"}, 3569},
		{UserID{one, "8:orgid:6e0f1c2a-9b7d-4c3e-8f10-0123456789ac"}, 2212},
		{UserID{two, "8:orgid:6e0f1c2a-9b7d-4c3e-8f10-0123456789ab"}, 3376},
		{UserID{two, "8:live:someone"}, 3686},
		{UserID{one, "2:sip@example.com"}, 1839},
	} {
		if got := tt.u.Shard(); got != tt.want {
			t.Errorf("%s is in shard %d, want %d", tt.u, got, tt.want)
		}
	}
}

// chi-squared over the shards: its mean is 4095 and its deviation 90, so the
// bounds are five deviations wide.
func TestShardSpread(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(i int) UserID{
		"random work users": func(int) UserID {
			return UserID{tenantA, fmt.Sprintf("8:orgid:%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(1<<12), rnd.IntN(1<<12), rnd.Uint64()>>16)}
		},
		"counted users": func(i int) UserID {
			return UserID{tenantA, fmt.Sprintf("8:orgid:00000000-0000-0000-0000-%012x", i)}
		},
		"one user in counted tenants": func(i int) UserID {
			return UserID{TenantID{0, 1, 2, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}, "8:x"}
		},
	} {
		const n = 50 * Shards
		var count [Shards]float64
		for i := range n {
			count[next(i).Shard()]++
		}
		chi := 0.0
		for _, c := range count {
			chi += (c - n/Shards) * (c - n/Shards) / (n / Shards)
		}
		if chi < 4095-5*90 || chi > 4095+5*90 {
			t.Errorf("%s: chi-squared %.0f", name, chi)
		}
	}
}

func TestUserCompare(t *testing.T) {
	sorted := []UserID{{tenantA, "8:a"}, {tenantA, "8:b"}, {tenantB, "8:a"}, {TenantID{0: 1}, "8:a"}}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s to %s: %d", a, b, got)
			}
		}
	}
}

func FuzzParseMRI(f *testing.F) {
	for _, s := range []string{"8:orgid:" + guid, "8:ORGID:" + strings.ToUpper(guid), "8:live:x", "4:+1", "8:", "08:x", "8:a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mri, err := ParseMRI(s)
		if err != nil {
			return
		}
		if again, err := ParseMRI(mri); err != nil || again != mri {
			t.Errorf("%q gives %q, which gives %q, %v", s, mri, again, err)
		}
		if !strings.EqualFold(mri, s) || len(mri) < 3 || len(mri) > 128 || strings.ContainsAny(mri, "/ \x00\n") {
			t.Errorf("%q gives %q", s, mri)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"8:orgid:" + guid, tenantB.String() + "/8:x", "/8:x", guid + "/" + guid, "a/b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseTarget(s, tenantA)
		if err != nil {
			return
		}
		if again, err := ParseTarget(u.String(), tenantB); err != nil || again != u {
			t.Errorf("%q gives %s, which gives %s, %v", s, u, again, err)
		}
		if u.Tenant != tenantA && !strings.Contains(s, "/") {
			t.Errorf("%q left its tenant: %s", s, u)
		}
		if err := checkKey(BlockKey(u), Block{}); err != nil || u.Shard() >= Shards {
			t.Errorf("%s: %v, shard %d", u, err, u.Shard())
		}
	})
}
