package presence

import "encoding/binary"

// View is how much of a user's presence a viewer gets. The zero value shows
// nothing.
type View uint8

// Unknown shows PresenceUnknown, Full everything that others may see, Hidden
// Offline.
const (
	Unknown View = iota
	Full
	Hidden
)

var viewNames = []string{"Unknown", "Full", "Hidden"}

// String is the PascalCase name.
func (v View) String() string { return name(viewNames, uint8(v)) }

// Trust is a policy compiled for deciding. It is immutable and may be shared.
type Trust struct {
	tenant     TenantID
	federation Federation
	privacy    bool
	listed     []tenantKey // open addressing, power of two, zero = empty
}

type tenantKey struct{ hi, lo uint64 }

func keyOf(t TenantID) tenantKey {
	return tenantKey{binary.BigEndian.Uint64(t[:8]), binary.BigEndian.Uint64(t[8:])}
}

func (k tenantKey) slot() uint64 { return mix(k.hi ^ k.lo) }

// Compile copies what Decide needs out of a policy that passed Check.
func Compile(p *Policy) *Trust {
	t := &Trust{tenant: p.Tenant, federation: p.Federation, privacy: p.Privacy}
	size := 1
	for size < 2*len(p.List)+1 {
		size *= 2
	}
	t.listed = make([]tenantKey, size)
	for _, id := range p.List {
		k := keyOf(id)
		i, found := t.find(k)
		if !found && k != (tenantKey{}) {
			t.listed[i] = k
		}
	}
	return t
}

// find ends because the table always has an empty slot.
func (t *Trust) find(k tenantKey) (slot uint64, found bool) {
	mask := uint64(len(t.listed) - 1)
	for i := k.slot() & mask; ; i = (i + 1) & mask {
		switch t.listed[i] {
		case k:
			return i, true
		case tenantKey{}:
			return i, false
		}
	}
}

func (t *Trust) trusts(o TenantID) bool {
	switch t.federation {
	case Open:
		return true
	case AllowList:
		return t.lists(o)
	case BlockList:
		return !t.lists(o)
	}
	return false
}

func (t *Trust) lists(o TenantID) bool {
	_, found := t.find(keyOf(o))
	return found
}

// Decide says what viewer gets of publisher: vt and pt are the trusts of their
// tenants, blocked tells that publisher has blocked viewer. Between tenants
// both must trust each other and the publisher's must not be private; where
// that fails the answer is Unknown whether blocked or not, so that it tells an
// outsider nothing. A missing trust, or one of another tenant, trusts nobody; a
// user without a tenant sees nobody.
func Decide(viewer, publisher UserID, vt, pt *Trust, blocked bool) View {
	if viewer.Tenant != publisher.Tenant {
		if !mutual(viewer.Tenant, publisher.Tenant, vt, pt) {
			return Unknown
		}
	} else if viewer.Tenant == (TenantID{}) {
		return Unknown
	}
	if blocked && viewer != publisher {
		return Hidden
	}
	return Full
}

func mutual(viewer, publisher TenantID, vt, pt *Trust) bool {
	if vt == nil || pt == nil || vt.tenant != viewer || pt.tenant != publisher {
		return false
	}
	return !pt.privacy && vt.trusts(publisher) && pt.trusts(viewer)
}
