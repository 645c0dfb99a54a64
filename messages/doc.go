// Package messages holds what is stored and what travels: the protobuf
// messages, the one conversion between them and the types of package presence,
// and the error codes every surface speaks.
//
//	presence.Record, State, Policy  <-- convert.go -->  Stored, State, Policy
//	presence errors                 <-- errors.go  -->  Error (code, text, retry)
//
// It does no I/O. Fields and numbers of a message are never reused, so that
// stores and peers of an older version stay readable.
package messages
