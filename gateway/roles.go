package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"rollcall/cluster/topology"
	"rollcall/gateway/front"
)

// roleNames are the roles as operators write them.
var roleNames = []struct {
	role topology.Role
	name string
}{{topology.Gateway, "gateway"}, {topology.Presence, "presence"}}

// ParseRoles reads a set of roles. At least one must be named.
func ParseRoles(names []string) (all topology.Role, err error) {
	for _, name := range names {
		role := topology.Role(0)
		for _, r := range roleNames {
			if r.name == name {
				role = r.role
			}
		}
		if role == 0 {
			return 0, fmt.Errorf("there is no role %q: use gateway, presence or both", name)
		}
		all |= role
	}
	if all == 0 {
		return 0, errors.New("a node without a role does nothing: use gateway, presence or both")
	}
	return all, nil
}

// RoleNames is what ParseRoles reads.
func RoleNames(set topology.Role) []string {
	names := []string{}
	for _, r := range roleNames {
		if set&r.role != 0 {
			names = append(names, r.name)
		}
	}
	return names
}

// healthRoutes are all that a node without the role gateway serves in public.
func (s *server) healthRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", live)
	mux.HandleFunc("/readyz", s.ready)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { front.WriteError(w, front.ErrNoGateway) })
	return mux
}
