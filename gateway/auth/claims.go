package auth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json" // unlike encoding/json: exact names, no duplicates

	"rollcall/presence"
)

const (
	// leeway covers clocks that differ, both ways.
	leeway = 60 * time.Second
	// maxLife is the longest exp - iat. Entra's access tokens live 60 to 90
	// minutes; a day leaves room for other issuers and still ends a stolen token.
	maxLife = 24 * time.Hour
	// maxName bounds the display name and the application id, in bytes.
	maxName = 128
)

// claims are those read after the signature was found good; iss and aud are
// checked by go-oidc. Pointers tell absent from empty.
type claims struct {
	Exp   *float64 `json:"exp"`
	Iat   *float64 `json:"iat"`
	Nbf   *float64 `json:"nbf"`
	Tid   string   `json:"tid"`
	Oid   string   `json:"oid"`
	Scp   *string  `json:"scp"`
	Roles []string `json:"roles"`
	Idtyp string   `json:"idtyp"`
	Appid string   `json:"appid"` // version 1.0 tokens of Entra
	Azp   string   `json:"azp"`   // version 2.0 tokens, OpenID Connect
	Name  string   `json:"name"`
}

// window checks the times and gives the moment from which the token is refused.
func (c *claims) window(now time.Time) (time.Time, error) {
	exp, expErr := numericDate(c.Exp)
	iat, iatErr := numericDate(c.Iat)
	if expErr != nil || iatErr != nil {
		return time.Time{}, invalid("exp or iat is missing or no date")
	}
	end := exp.Add(leeway)
	if !now.Before(end) {
		return time.Time{}, fmt.Errorf("%w: at %s", ErrExpired, exp.UTC().Format(time.RFC3339))
	}
	if life := exp.Sub(iat); life > maxLife {
		return time.Time{}, invalid("lives %s, longer than %s", life, maxLife)
	}
	if now.Add(leeway).Before(iat) {
		return time.Time{}, invalid("issued in the future: %s", iat.UTC().Format(time.RFC3339))
	}
	if c.Nbf == nil {
		return end, nil
	}
	nbf, err := numericDate(c.Nbf)
	if err != nil || now.Add(leeway).Before(nbf) {
		return time.Time{}, invalid("not valid yet, or nbf is no date")
	}
	return end, nil
}

// numericDate reads seconds since 1970 (RFC 7519 section 2), up to the year 5138.
func numericDate(sec *float64) (time.Time, error) {
	if sec == nil || !(*sec >= 0 && *sec < 1e11) {
		return time.Time{}, ErrInvalid
	}
	whole := int64(*sec)
	return time.Unix(whole, int64((*sec-float64(whole))*1e9)), nil
}

// identity builds the caller from the claims; pinned is the issuer's only
// tenant, or zero.
func (c *claims) identity(pinned presence.TenantID) (Identity, error) {
	tenant, err := presence.ParseTenant(c.Tid)
	if err != nil {
		return Identity{}, invalid("tid: %v", err)
	}
	if pinned != (presence.TenantID{}) && tenant != pinned {
		return Identity{}, invalid("tid %s is not the tenant of its issuer", tenant)
	}
	id := Identity{Tenant: tenant, App: c.Appid, Name: cut(c.Name, maxName)}
	if id.App == "" {
		id.App = c.Azp
	}
	if len(id.App) > maxName {
		return Identity{}, invalid("appid or azp is longer than %d bytes", maxName)
	}
	if c.Scp != nil {
		return c.delegated(id)
	}
	return c.application(id)
}

// delegated ignores roles: in a user's token they are the user's roles within
// the application, and not permissions of the application.
func (c *claims) delegated(id Identity) (Identity, error) {
	if c.Idtyp == "app" {
		return Identity{}, invalid("an application's token has scp")
	}
	user, err := presence.OrgUser(id.Tenant, c.Oid)
	if err != nil {
		return Identity{}, invalid("oid: %v", err)
	}
	id.User = user
	id.Scopes = scopesOf(strings.Fields(*c.Scp)) & delegatedScopes
	return id, nil
}

func (c *claims) application(id Identity) (Identity, error) {
	if len(c.Roles) == 0 {
		return Identity{}, invalid("neither scp nor roles")
	}
	if c.Idtyp != "" && c.Idtyp != "app" {
		return Identity{}, invalid("roles without scp in a token of type %q", c.Idtyp)
	}
	if id.App == "" {
		return Identity{}, invalid("neither appid nor azp in an application's token")
	}
	id.Application = true
	id.Scopes = scopesOf(c.Roles) & applicationScopes
	return id, nil
}

// peek reads the issuer of a token whose signature is not checked yet: it says
// whose keys to try and nothing more.
func peek(raw string) (string, error) {
	if !tokenBytes(raw) {
		return "", invalid("bytes outside a token's alphabet")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", invalid("%d parts instead of 3", len(parts))
	}
	var header struct {
		Typ string `json:"typ"`
	}
	if err := decode(parts[0], &header); err != nil {
		return "", invalid("header: %v", err)
	}
	switch strings.TrimPrefix(strings.ToLower(header.Typ), "application/") {
	case "", "jwt", "at+jwt":
	default:
		return "", invalid("typ %q", header.Typ)
	}
	var body struct {
		Iss string `json:"iss"`
	}
	if err := decode(parts[1], &body); err != nil {
		return "", invalid("claims: %v", err)
	}
	return body.Iss, nil
}

func decode(part string, into any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// cut shortens s to at most n bytes and leaves valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
