// Package graph serves the presence part of Microsoft Graph, so that clients
// made for Graph read and write Rollcall's presence unchanged.
//
// It owns the form of that API: paths, bodies, status codes, error objects,
// $batch and Graph's limits. It never decides what a presence is or who may see
// it, and keeps nothing durable: the user actors do.
//
//	/v1.0/..  /beta/..
//	   |
//	   v
//	token --> route --> scope, subject --> body --> actors --> answer
//	             |
//	          $batch: 1 to 20 of the same, after those they depend on
//
// A write is answered when it is stored. A read after an answered write shows
// it, or something newer. The requests of one batch run one after the other in
// an order that their dependsOn allows; nothing joins them into one change.
//
// Where public sources leave the service's behaviour open or disagree,
// docs/graph.md says what was chosen.
package graph
