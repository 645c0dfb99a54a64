package graph

import (
	"net/http"
	"strings"
)

// handler answers one kind of request.
type handler func(*API, *call) (answer, error)

// route is what a path takes, by method.
type route map[string]handler

// table has all paths below the version, in lower case, with {id} where the id
// stands.
func table() map[string]route {
	t := map[string]route{
		"$batch":                              {http.MethodPost: (*API).batch},
		"communications/getpresencesbyuserid": {http.MethodPost: (*API).getPresencesByUserID},
		"me":                                  {http.MethodGet: (*API).getMe},
		"me/photo":                            {http.MethodGet: (*API).getPhoto},
		"me/photo/$value":                     {http.MethodGet: (*API).getPhoto},
		"users":                               {http.MethodGet: (*API).listUsers},
		"users/{id}":                          {http.MethodGet: (*API).getUser},
		"users/{id}/photo":                    {http.MethodGet: (*API).getPhoto},
		"users/{id}/photo/$value":             {http.MethodGet: (*API).getPhoto},
		"me/presence":                         {http.MethodGet: (*API).getPresence},
		"users/{id}/presence":                 {http.MethodGet: (*API).getPresence},
		"communications/presences/{id}":       {http.MethodGet: (*API).getPresence},
	}
	for name, h := range map[string]handler{
		"setpresence":                (*API).setPresence,
		"clearpresence":              (*API).clearPresence,
		"setuserpreferredpresence":   (*API).setPreferred,
		"clearuserpreferredpresence": (*API).clearPreferred,
		"setstatusmessage":           (*API).setStatusMessage,
		"setmanuallocation":          (*API).setManualLocation,
		"setautomaticlocation":       (*API).setAutomaticLocation,
		"clearautomaticlocation":     (*API).clearAutomaticLocation,
		"clearlocation":              (*API).clearLocation,
	} {
		for _, presence := range []string{"me/presence/", "users/{id}/presence/", "communications/presences/{id}/"} {
			t[presence+name] = route{http.MethodPost: h}
		}
	}
	return t
}

// versions of the API; all of them are the same here.
var versions = []string{"v1.0", "beta"}

// splitVersion takes the version off a path.
func splitVersion(path string) (version, rest string, ok bool) {
	version, rest, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for _, v := range versions {
		if strings.EqualFold(v, version) {
			return v, rest, true
		}
	}
	return "", "", false
}

// maxSegments is more than any route has.
const maxSegments = 6

// resolve finds the route's name of a path below the version, and the id in it.
// Graph compares names without regard to case and takes an id in brackets too,
// users('id') for users/id.
func resolve(path string) (name, id string) {
	parts := strings.SplitN(strings.Trim(path, "/"), "/", maxSegments)
	var key []string
	for _, part := range parts {
		if isID(key) {
			key, id = append(key, "{id}"), part
			continue
		}
		collection, quoted, ok := strings.Cut(part, "('")
		if inner, closed := strings.CutSuffix(quoted, "')"); ok && closed {
			if key = append(key, strings.ToLower(collection)); isID(key) {
				key, id = append(key, "{id}"), inner
				continue
			}
			return "", ""
		}
		key = append(key, strings.ToLower(part))
	}
	return strings.Join(key, "/"), id
}

// isID tells whether an id follows the segments.
func isID(key []string) bool {
	switch len(key) {
	case 1:
		return key[0] == "users"
	case 2:
		return key[0] == "communications" && key[1] == "presences"
	}
	return false
}
