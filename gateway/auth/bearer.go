package auth

import (
	"net/http"
	"strings"
)

// Bearer takes the token from the request's Authorization header
// (RFC 6750 section 2.1). It reads no query parameter and no form field: URLs
// end up in logs. The errors are ErrMissing, also for another scheme,
// ErrTokenTooLarge, and ErrInvalid when there are two headers or the token has
// bytes that no token has.
func Bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", ErrMissing
	}
	if len(values) > 1 {
		return "", invalid("%d Authorization headers", len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", ErrMissing
	}
	if len(token) > MaxToken {
		return "", ErrTokenTooLarge
	}
	if !tokenBytes(token) {
		return "", invalid("the Authorization header has bytes outside a token's alphabet")
	}
	return token, nil
}

// tokenBytes is true when s has only base64url digits and dots, which is all
// that a compact JWS is made of (RFC 7515 section 7.1).
func tokenBytes(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && !('0' <= c && c <= '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
