package auth

import "strings"

// Scope is a set of permissions.
type Scope uint16

// The permissions; the names in comments are those in tokens.
const (
	PresenceRead         Scope = 1 << iota // Presence.Read: one's own, delegated
	PresenceReadAll                        // Presence.Read.All: everybody's, delegated or application
	PresenceReadWrite                      // Presence.ReadWrite: one's own, delegated
	PresenceReadWriteAll                   // Presence.ReadWrite.All: everybody's, application
	SourcesWriteAll                        // Presence.Sources.ReadWrite.All: calendar, call and location for users, application
	ChangesRead                            // Presence.Changes.Read.All: the tenant's change feed, application
	PolicyWrite                            // Presence.Policy.ReadWrite.All: the tenant's policy, application
)

// Consent to a delegated permission holds for every user of the consenting
// tenant, hence no permission of administration is delegated.
const (
	delegatedScopes   = PresenceRead | PresenceReadAll | PresenceReadWrite
	applicationScopes = PresenceReadAll | PresenceReadWriteAll | SourcesWriteAll | ChangesRead | PolicyWrite
)

var scopeNames = [...]string{
	"Presence.Read",
	"Presence.Read.All",
	"Presence.ReadWrite",
	"Presence.ReadWrite.All",
	"Presence.Sources.ReadWrite.All",
	"Presence.Changes.Read.All",
	"Presence.Policy.ReadWrite.All",
}

// Has is true when every permission of want is in the set; the empty want
// always is.
func (s Scope) Has(want Scope) bool { return s&want == want }

// Any is true when at least one permission of want is in the set.
func (s Scope) Any(want Scope) bool { return s&want != 0 }

// String gives the names as a scp claim has them: separated by one space, in
// the order of the constants.
func (s Scope) String() string { return strings.Join(s.Names(), " ") }

// Names gives the names as a roles claim has them, in the order of the
// constants.
func (s Scope) Names() []string {
	names := make([]string, 0, len(scopeNames))
	for i, name := range scopeNames {
		if s.Any(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// scopesOf reads permission names. Case counts, as it does for OAuth scopes
// (RFC 6749 section 3.3); an unknown name gives nothing.
func scopesOf(names []string) Scope {
	var s Scope
	for _, name := range names {
		for i, known := range scopeNames {
			if name == known {
				s |= 1 << i
			}
		}
	}
	return s
}
