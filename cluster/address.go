package cluster

import (
	"fmt"
	"strings"

	"rollcall/presence"
)

// Kind is the kind of a virtual actor. Its number is part of the directory's
// key only and may change between versions; its name travels between nodes.
type Kind uint8

// The kinds of virtual actors.
const (
	UserKind Kind = iota + 1
	TenantKind
)

var kindNames = map[Kind]string{UserKind: "user", TenantKind: "tenant"}

// Address names a virtual actor. It is the same on every node; where the actor
// lives follows from the shard table alone. A tenant's address has no MRI.
type Address struct {
	Kind Kind
	ID   presence.UserID
}

// User is the address of the actor that owns u's presence.
func User(u presence.UserID) Address { return Address{UserKind, u} }

// Tenant is the address of the actor that owns t's policy.
func Tenant(t presence.TenantID) Address {
	return Address{TenantKind, presence.UserID{Tenant: t}}
}

// Shard is the shard whose owner hosts the actor.
func (a Address) Shard() uint16 { return a.ID.Shard() }

// String is the form between nodes and in PIDs: user/<tenant>/<mri> or
// tenant/<tenant>.
func (a Address) String() string {
	if a.Kind == TenantKind {
		return "tenant/" + a.ID.Tenant.String()
	}
	return kindNames[a.Kind] + "/" + a.ID.String()
}

// ParseAddress reads what String wrote. It returns ErrAddress for anything
// else.
func ParseAddress(s string) (Address, error) {
	kind, rest, _ := strings.Cut(s, "/")
	switch kind {
	case "tenant":
		t, err := presence.ParseTenant(rest)
		if err != nil {
			return Address{}, fmt.Errorf("%w: %q", ErrAddress, s)
		}
		return Tenant(t), nil
	case "user":
		if !strings.Contains(rest, "/") {
			break
		}
		u, err := presence.ParseTarget(rest, presence.TenantID{})
		if err != nil {
			return Address{}, fmt.Errorf("%w: %q", ErrAddress, s)
		}
		return User(u), nil
	}
	return Address{}, fmt.Errorf("%w: %q", ErrAddress, s)
}
