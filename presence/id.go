package presence

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
)

// Shards is the number of slices that all users are divided into. It is part
// of the on-disk format.
const Shards = 4096

const (
	guidLen   = 36
	minMRI    = 3
	maxMRI    = 128
	orgPrefix = "8:orgid:"
)

// TenantID is the UUID of an organisation. The zero value is invalid.
type TenantID [16]byte

// ParseTenant reads the canonical 36-character form in any case; anything
// else, and the all-zero UUID, is ErrBadID.
func ParseTenant(s string) (TenantID, error) {
	var t TenantID
	if !isGUID(s) {
		return t, fmt.Errorf("tenant is not a UUID: %w", ErrBadID)
	}
	var digits [32]byte
	n := 0
	for i := range guidLen {
		if s[i] != '-' {
			digits[n] = s[i]
			n++
		}
	}
	if _, err := hex.Decode(t[:], digits[:]); err != nil {
		return TenantID{}, fmt.Errorf("tenant is not a UUID: %w", ErrBadID)
	}
	if t == (TenantID{}) {
		return t, fmt.Errorf("tenant is the zero UUID: %w", ErrBadID)
	}
	return t, nil
}

// String gives the canonical lower-case form, which ParseTenant reads back.
func (t TenantID) String() string {
	var b [guidLen]byte
	hex.Encode(b[0:8], t[0:4])
	hex.Encode(b[9:13], t[4:6])
	hex.Encode(b[14:18], t[6:8])
	hex.Encode(b[19:23], t[8:10])
	hex.Encode(b[24:36], t[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// UserID names one user. It is comparable; two spellings of one user are equal
// because ParseMRI, ParseTarget and OrgUser normalise.
type UserID struct {
	Tenant TenantID
	MRI    string
}

// ParseMRI checks `<number>:<rest>`, 3 to 128 bytes of [A-Za-z0-9:._@+-], and
// returns it normalised: `8:orgid:<guid>` becomes lower case, every other kind
// stays as it is. Failures are ErrBadID.
func ParseMRI(s string) (string, error) {
	if len(s) < minMRI || len(s) > maxMRI {
		return "", fmt.Errorf("MRI of %d bytes, want %d to %d: %w", len(s), minMRI, maxMRI, ErrBadID)
	}
	kind, rest, ok := strings.Cut(s, ":")
	if !ok || rest == "" || !isNumber(kind) {
		return "", fmt.Errorf("MRI is not <number>:<rest>: %w", ErrBadID)
	}
	if !isIDText(rest) {
		return "", fmt.Errorf("MRI has a character outside [A-Za-z0-9:._@+-]: %w", ErrBadID)
	}
	if len(s) < len(orgPrefix) || !strings.EqualFold(s[:len(orgPrefix)], orgPrefix) {
		return s, nil
	}
	if !isGUID(s[len(orgPrefix):]) {
		return "", fmt.Errorf("8:orgid: is not followed by a UUID: %w", ErrBadID)
	}
	return strings.ToLower(s), nil
}

// ParseTarget reads what a caller of tenant home names: a bare MRI is a user
// of home, `<tenant>/<mri>` a user of that tenant. Failures are ErrBadID.
func ParseTarget(s string, home TenantID) (UserID, error) {
	if tenant, mri, ok := strings.Cut(s, "/"); ok {
		t, err := ParseTenant(tenant)
		if err != nil {
			return UserID{}, err
		}
		home, s = t, mri
	}
	if home == (TenantID{}) {
		return UserID{}, fmt.Errorf("user without a tenant: %w", ErrBadID)
	}
	mri, err := ParseMRI(s)
	if err != nil {
		return UserID{}, err
	}
	return UserID{Tenant: home, MRI: mri}, nil
}

// OrgUser names the work user with this directory GUID.
func OrgUser(t TenantID, guid string) (UserID, error) {
	if !isGUID(guid) {
		return UserID{}, fmt.Errorf("user is not a UUID: %w", ErrBadID)
	}
	return ParseTarget(orgPrefix+guid, t)
}

// GUID returns the directory GUID of a work user; other kinds have none.
func (u UserID) GUID() (string, bool) {
	return strings.CutPrefix(u.MRI, orgPrefix)
}

// Tracked tells whether this kind of address can have presence: people can
// (8:, and the older 2: and 1:), telephone numbers, threads, bots and system
// addresses cannot.
func (u UserID) Tracked() bool {
	kind, _, _ := strings.Cut(u.MRI, ":")
	return kind == "8" || kind == "2" || kind == "1"
}

// String is `<tenant>/<mri>`, which ParseTarget reads back.
func (u UserID) String() string {
	return u.Tenant.String() + "/" + u.MRI
}

// Compare orders users by tenant, then MRI: the order of [Watch].Targets.
func (u UserID) Compare(o UserID) int {
	for i := range u.Tenant {
		if c := cmp.Compare(u.Tenant[i], o.Tenant[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(u.MRI, o.MRI)
}

// Shard is the user's slice, below Shards. It is part of the on-disk format and
// must never change.
func (u UserID) Shard() uint16 { return uint16(u.Hash() % Shards) }

// Hash is FNV-1a over the tenant's bytes and the MRI, mixed by the 64-bit
// finaliser of MurmurHash3: the same on every node and for ever.
func (u UserID) Hash() uint64 { return HashUser(u.Tenant[:], u.MRI) }

// HashUser is UserID.Hash of a user whose parts lie in a key.
func HashUser[T string | []byte](tenant []byte, mri T) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range tenant {
		h = (h ^ uint64(b)) * prime
	}
	for i := range len(mri) {
		h = (h ^ uint64(mri[i])) * prime
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func isGUID(s string) bool {
	if len(s) != guidLen {
		return false
	}
	for i := range guidLen {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// isNumber refuses leading zeros: they would be a second spelling.
func isNumber(s string) bool {
	if s == "" || s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isIDText(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune(":._@+-", rune(c)) {
			return false
		}
	}
	return true
}
