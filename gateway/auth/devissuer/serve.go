package devissuer

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"rollcall/presence"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 4 << 10

// Handler serves the issuer under the path of its URL; mount it there without
// stripping the prefix.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+i.base+"/.well-known/openid-configuration", i.serveDiscovery)
	mux.HandleFunc("GET "+i.base+"/jwks", i.serveKeys)
	mux.HandleFunc("GET "+i.base+"/token", i.serveToken)
	mux.HandleFunc("POST "+i.base+"/token", i.serveToken)
	return nearOnly(mux)
}

// nearOnly refuses what a page of another site can make a browser send: a
// request to a name that was rebound to this machine, or across sites.
func nearOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		if !loopback(r.Host) || site == "cross-site" || site == "same-site" {
			answer(w, http.StatusForbidden, problem{"access_denied", "development tokens are for this machine alone"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (i *Issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                i.name,
		"jwks_uri":                              i.url + "/jwks",
		"token_endpoint":                        i.url + "/token",
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []jose.SignatureAlgorithm{jose.ES256},
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.public}})
}

func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		answer(w, http.StatusBadRequest, problem{"invalid_request", "the form cannot be read"})
		return
	}
	token, err := i.token(r.Form.Get("user"), r.Form.Get("app"), r.Form.Get("tenant"))
	switch {
	case errors.Is(err, errRequest), errors.Is(err, ErrUnknown), errors.Is(err, presence.ErrBadID):
		answer(w, http.StatusBadRequest, problem{"invalid_request", err.Error()})
	case err != nil:
		answer(w, http.StatusInternalServerError, problem{"server_error", err.Error()})
	default:
		answer(w, http.StatusOK, map[string]any{
			"access_token": token,
			"token_type":   "Bearer",
			"expires_in":   int(TokenLife.Seconds()),
		})
	}
}

var errRequest = errors.New("devissuer: give either user=<login> or app=1")

func (i *Issuer) token(user, app, tenant string) (string, error) {
	switch {
	case (user == "") == (app == "") || app != "" && app != "1" || user != "" && tenant != "":
		return "", errRequest
	case user != "":
		return i.UserToken(user, TokenLife)
	case tenant == "":
		return i.AppToken(HomeTenant, TokenLife)
	}
	t, err := presence.ParseTenant(tenant)
	if err != nil {
		return "", err
	}
	return i.AppToken(t, TokenLife)
}

// problem has the names of RFC 6749 section 5.2.
type problem struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone: nobody to tell
}
