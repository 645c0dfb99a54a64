// Package scenario reads what a load test is to do, from YAML: who takes part,
// what they do, what goes wrong, and what must hold.
//
// It owns the file's form, the bounds of every field, and the scenarios that are
// shipped. It never opens a file or a socket: bytes come in, a Scenario or a list
// of errors goes out.
//
//	YAML --> Parse --> Scenario
//	           '-----> Errors, one a line: file:line: field: reason
//
// A file is refused as a whole: unknown and repeated fields, values out of
// bounds, aliases, and fields that contradict each other are all named at once.
// What a file leaves out has the default of docs/loadtest.md.
package scenario
