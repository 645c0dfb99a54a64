package auth_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/gateway/auth"
)

// FuzzVerify feeds what an attacker can send. Only the signed seeds may pass.
func FuzzVerify(f *testing.F) {
	key := es256(f, "ec")
	v, err := auth.New(context.Background(), auth.Config{
		Keys:     map[string][]crypto.PublicKey{"dev": {key.key.Public()}},
		Audience: audience, Now: func() time.Time { return start },
	})
	must(f, v, err)
	good := key.sign(f, userClaims("dev", start), nil)
	parts := strings.Split(good, ".")
	signed := parts[0] + "." + parts[1]
	for _, seed := range []string{good, key.sign(f, appClaims("dev", start), nil), "", "..", "a.b.c",
		"eyJhbGciOiJub25lIn0." + parts[1] + ".", `{"payload":"` + parts[1] + `"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		id, err := v.Verify(context.Background(), raw)
		if err == nil {
			// Base64 has spare bits and ECDSA a mirrored signature, but nobody
			// without the key can sign other claims.
			if !id.Application && !strings.HasPrefix(raw, signed+".") {
				t.Fatalf("a token nobody signed was accepted: %q", raw)
			}
			return
		}
		var kind *auth.Error
		if !errors.As(err, &kind) || id != (auth.Identity{}) {
			t.Fatalf("refused with %v and %+v", err, id)
		}
		if text := err.Error(); len(text) > 512 || !utf8.ValidString(text) {
			t.Fatalf("error text of %d bytes: %q", len(text), text)
		}
	})
}

// FuzzBearer: whatever the header, the answer is a token within its limits or
// one of the package's errors.
func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer a.b.c", "bearer  x ", "Bearer a b", "Basic x", "Bearer \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := auth.Bearer(&http.Request{Header: http.Header{"Authorization": {header}}})
		var kind *auth.Error
		switch {
		case err != nil && (!errors.As(err, &kind) || token != ""):
			t.Fatalf("refused with %v and token %q", err, token)
		case err == nil && (token == "" || len(token) > auth.MaxToken || strings.ContainsAny(token, " ,\"\r\n\t")):
			t.Fatalf("token %q of header %q", token, header)
		}
	})
}
