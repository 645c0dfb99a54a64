// Package devca makes the secrets of a cluster for those who have no authority
// of their own: a certificate authority, a certificate per node, and the key of
// the gossip. Its files are what a node reads with its directory of secrets.
package devca
