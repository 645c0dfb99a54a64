package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"rollcall/gateway/auth"
)

func TestBearer(t *testing.T) {
	limit := strings.Repeat("a", auth.MaxToken)
	for name, tt := range map[string]struct {
		headers []string
		want    string
		err     error
	}{
		"a token":                  {[]string{"Bearer a.b-c_d.e"}, "a.b-c_d.e", nil},
		"scheme in any case":       {[]string{"bEARER abc"}, "abc", nil},
		"more than one space":      {[]string{"Bearer   abc "}, "abc", nil},
		"8 KiB":                    {[]string{"Bearer " + limit}, limit, nil},
		"8 KiB and a byte":         {[]string{"Bearer " + limit + "a"}, "", auth.ErrTokenTooLarge},
		"no header":                {nil, "", auth.ErrMissing},
		"empty header":             {[]string{""}, "", auth.ErrMissing},
		"no token":                 {[]string{"Bearer "}, "", auth.ErrMissing},
		"the scheme alone":         {[]string{"Bearer"}, "", auth.ErrMissing},
		"another scheme":           {[]string{"Basic YTpi"}, "", auth.ErrMissing},
		"two headers":              {[]string{"Bearer a", "Bearer b"}, "", auth.ErrInvalid},
		"two tokens":               {[]string{"Bearer a, Bearer b"}, "", auth.ErrInvalid},
		"a quote":                  {[]string{`Bearer "abc"`}, "", auth.ErrInvalid},
		"a tab, no token's letter": {[]string{"Bearer a\tb"}, "", auth.ErrInvalid},
		"no ASCII":                 {[]string{"Bearer \u00e4"}, "", auth.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := auth.Bearer(&http.Request{Header: http.Header{"Authorization": tt.headers}})
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Fatalf("token %.20q, error %v; want %.20q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestScopeNamesAreThoseOfTokens(t *testing.T) {
	s := auth.PresenceRead | auth.ChangesRead | auth.PolicyWrite
	if got, want := s.String(), "Presence.Read Presence.Changes.Read.All Presence.Policy.ReadWrite.All"; got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	if !s.Has(auth.PresenceRead|auth.PolicyWrite) || s.Has(auth.PresenceRead|auth.PresenceReadAll) {
		t.Fatal("Has is not about all of the wanted")
	}
	if !s.Any(auth.PresenceRead|auth.PresenceReadAll) || s.Any(auth.PresenceReadAll) {
		t.Fatal("Any is not about one of the wanted")
	}
}

func TestFingerprintIsWhatRefusalsName(t *testing.T) {
	p := newProvider(t)
	_, err := newVerifier(t, p, &clock{at: start}).Verify(context.Background(), "abc")
	if err == nil || !strings.Contains(err.Error(), "ba7816bf") { // SHA-256 of abc: FIPS 180-2, appendix B.1
		t.Fatalf("error %v does not name the token by its fingerprint", err)
	}
}
