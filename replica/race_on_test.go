//go:build race

package replica

// The race detector makes histories several times slower: they are shorter
// then.
const raceOn = true
