// Package identity gives the people of a load test names and access tokens that
// a node believes.
//
// It owns three ways to them: an OpenID Connect issuer of its own, whose users
// are made up; a node's development issuer, which knows four; and a command of
// the operator's, which knows whom it likes. It never keeps a token on a disk and
// never writes one to a log.
//
//	Issuer   users of any number; the node is started with --issuer and its URL
//	Dev      the demo users of a node in development mode
//	Command  a program that reads "tenant user" lines and answers with tokens
//
// The last two tell who their users are by the tokens' claims, so the population
// may be other people than those asked for.
package identity
