package actors

import (
	"rollcall/cluster"
	"rollcall/presence"
)

// Awake says whether a user is in memory here, and has it look at the clock if
// so.
func (s *System) Awake(u presence.UserID) bool { return s.node.PostActive(cluster.User(u), tick{}) }
