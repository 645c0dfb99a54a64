// Package auth turns a bearer token into an Identity: who calls, for which
// tenant, with which scopes.
//
// It owns the trust in token issuers: their public keys, the rules a token has
// to meet and a bounded memory of tokens already checked. It never issues a
// token (package devissuer does, for development), never decides what an
// identity may do, never logs, and never puts a token into an error text; a
// log names a token by the first 8 hex digits of its SHA-256.
//
// A token is accepted when all of this holds:
//
//   - it is a compact JWS of at most 8 KiB, typ absent, JWT or at+jwt;
//   - its algorithm is ES256, EdDSA or RS256. RS256 is in because Microsoft
//     Entra ID and most OpenID Connect issuers sign with nothing else. "none"
//     and the HMAC family are out: with them a public key becomes a password;
//   - its signature fits a key of the configured issuer it names. Keys come
//     from that issuer's discovery document alone; jku, x5u, jwk and x5c
//     headers are not read;
//   - aud holds the configured audience;
//   - exp and iat are there, exp is not more than 24 hours after iat, and now
//     lies between iat, nbf and exp with 60 seconds for clocks that differ;
//   - tid is a tenant's UUID. When the issuer's URL has a UUID as a path
//     segment, as Entra's has, tid must be that one;
//   - a delegated token (it has scp) has the user's GUID in oid. A token
//     without scp is an application's: it has roles and an appid or azp.
//
// Permissions exist in the kinds of token Microsoft Graph defines them for:
// scp gives Presence.Read, Presence.Read.All and Presence.ReadWrite; the
// wide ones (Presence.ReadWrite.All and those of administration) only come
// from roles. A name that is unknown, or of the other kind, gives nothing.
//
//	raw -- size, shape --> cache by SHA-256 -- miss --> issuer of iss
//	                          |                            |
//	                          | hit                  signature (go-oidc,
//	                          v                      keys fetched <= 1 per 5 s)
//	                       Identity <-- remember <-- claims and times
//
// A remembered token is honoured until it expires, one hour at most; keys are
// fetched anew after an hour. So a key that an issuer withdraws stops working
// within two hours. While an issuer cannot be reached its last keys go on
// working, and a token that would need newer ones gets [ErrUnavailable], which
// is no verdict about the token.
//
// The package has no long-lived goroutine. A key fetch runs in one of its own
// that ends after 10 seconds at the latest.
package auth
