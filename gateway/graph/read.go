package graph

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/actors"
	"rollcall/gateway/auth"
	"rollcall/gateway/front"
	"rollcall/presence"
)

// resource is Graph's presence.
type resource struct {
	Context       string         `json:"@odata.context,omitempty"`
	ID            string         `json:"id"`
	Availability  string         `json:"availability"`
	Activity      string         `json:"activity"`
	OutOfOffice   outOfOffice    `json:"outOfOfficeSettings"`
	StatusMessage *statusMessage `json:"statusMessage"`
	WorkLocation  workLocation   `json:"workLocation"`
	Sequence      *string        `json:"sequenceNumber"`
}

type outOfOffice struct {
	Message *string `json:"message"`
	Is      bool    `json:"isOutOfOffice"`
}

type statusMessage struct {
	Message   itemBody `json:"message"`
	Expiry    *moment  `json:"expiryDateTime,omitempty"`
	Published string   `json:"publishedDateTime,omitempty"`
}

type itemBody struct {
	Content string `json:"content"`
	Type    string `json:"contentType"`
}

type workLocation struct {
	Type   string  `json:"workLocationType"`
	Source string  `json:"source"`
	Place  *string `json:"placeId"`
}

// resourceOf writes a snapshot under the id that was asked for. What only the
// owner may see is absent from the snapshots of others.
func resourceOf(id string, s actors.Snapshot) resource {
	r := resource{
		ID: id, Availability: s.State.Availability.String(), Activity: s.State.Activity.String(),
		OutOfOffice:  outOfOffice{present(s.State.OutOfOfficeMessage), s.State.OutOfOffice},
		WorkLocation: locationOf(s.State),
	}
	if s.Version != 0 {
		r.Sequence = present(s.Version.String())
	}
	if n := s.State.Note; n.Content != "" {
		m := &statusMessage{Message: itemBody{n.Content, "text"}}
		if n.Expiry != 0 {
			m.Expiry = momentOf(n.Expiry)
		}
		if n.Published != 0 {
			m.Published = time.UnixMilli(n.Published).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		r.StatusMessage = m
	}
	return r
}

// locationOf has the names in lower camel case: they are enumerations in
// Graph, and its clients read those exactly. Availability and activity are
// plain strings there.
func locationOf(s presence.State) workLocation {
	return workLocation{camel(s.Location.Type.String()), camel(s.LocationSource.String()), present(s.Location.PlaceID)}
}

func camel(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// present is null for what is not there.
func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a *API) getPresence(c *call) (answer, error) {
	u, err := c.subject()
	if err != nil {
		return answer{}, err
	}
	if err := c.mayRead(u); err != nil {
		return answer{}, err
	}
	if err := a.front.TakeTargets(c.caller, []presence.UserID{u}); err != nil {
		return answer{}, err
	}
	s, err := a.front.Actors.Read(c, front.Viewer(c.caller), u)
	if err != nil {
		return answer{}, a.front.Actor(err)
	}
	id := c.id
	if c.me() {
		id, _ = u.GUID()
	}
	r := resourceOf(id, s)
	r.Context = c.base + "/$metadata#users('" + id + "')/presence/$entity"
	if strings.HasPrefix(c.name, "communications/") {
		r.Context = c.base + "/$metadata#communications/presences/$entity"
	}
	return answer{status: http.StatusOK, body: r}, nil
}

// unknown is the entry of an id that cannot be a user's: one bad id does not
// fail the others.
var unknown = actors.Snapshot{State: presence.State{}.Seen(presence.Unknown)}

func (a *API) getPresencesByUserID(c *call) (answer, error) {
	if err := c.allowed(auth.PresenceReadAll); err != nil {
		return answer{}, err
	}
	var in struct {
		IDs []string `json:"ids"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	users, err := c.users(in.IDs)
	if err != nil {
		return answer{}, err
	}
	if err := a.front.TakeTargets(c.caller, users); err != nil {
		return answer{}, err
	}
	found, err := a.front.Actors.ReadMany(c, front.Viewer(c.caller), users)
	if err != nil {
		return answer{}, a.front.Actor(err)
	}
	snapshots := make(map[presence.UserID]actors.Snapshot, len(found))
	for _, s := range found {
		snapshots[s.User] = s
	}
	value := make([]resource, len(in.IDs))
	for i, id := range in.IDs {
		s := unknown
		if u, err := presence.OrgUser(c.caller.Tenant, id); err == nil {
			s = snapshots[u]
		}
		value[i] = resourceOf(id, s)
	}
	return answer{status: http.StatusOK, body: collection[resource]{
		Context: c.base + "/$metadata#Collection(microsoft.graph.presence)", Value: value,
	}}, nil
}

type collection[T any] struct {
	Context string `json:"@odata.context"`
	Value   []T    `json:"value"`
}

// users are those among the ids that can exist, each once.
func (c *call) users(ids []string) ([]presence.UserID, error) {
	if ids == nil {
		return nil, bad("ids", "a list of user ids is required")
	}
	if len(ids) > front.MaxRead {
		p := problemOf(front.ErrTooManyIDs)
		p.text = fmt.Sprintf("ids: %d users in one request, at most %d", len(ids), front.MaxRead)
		return nil, p
	}
	seen := make(map[presence.UserID]bool, len(ids))
	users := make([]presence.UserID, 0, len(ids))
	for i, id := range ids {
		if id == "" || len(id) > presence.MaxSessionID {
			return nil, bad("ids", "entry %d is empty or longer than %d bytes", i, presence.MaxSessionID)
		}
		if u, err := presence.OrgUser(c.caller.Tenant, id); err == nil && !seen[u] {
			seen[u] = true
			users = append(users, u)
		}
	}
	return users, nil
}
