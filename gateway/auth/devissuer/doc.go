// Package devissuer is a token issuer for development: it hands a token of a
// made-up user to everybody who asks. It makes a node usable with nothing else
// installed, and its tokens go through the same verification as real ones.
//
// It owns an ES256 key, kept in a file so that tokens survive a restart, and
// the demo directory. It never asks for a password, hence it must only be
// mounted in development mode on a loopback address. As a second fence it
// answers only requests made to a loopback name and not sent by another site's
// page, so that no page on the web can have a token from a developer's browser.
//
//	GET  <base>/.well-known/openid-configuration   discovery
//	GET  <base>/jwks                               the public key
//	GET  <base>/token?user=alice                   {"access_token": .., "expires_in": 3600}
//	POST <base>/token   user=alice                 the same
//	     <base>/token?app=1[&tenant=<id>]          the demo application, all its scopes
//
// <base> is the path of the issuer's URL, /dev in a node. A verifier in the
// same process takes [Issuer.Keys] and asks nothing over HTTP, so neither has
// to be up before the other.
package devissuer
