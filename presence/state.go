package presence

// State is what a user's presence is at one moment. It is comparable.
type State struct {
	Availability       Availability
	Activity           Activity
	Device             Device // behind the session that ranks highest
	LastActive         int64  // unix ms, the latest of all live sessions; 0 without one
	OutOfOffice        bool
	OutOfOfficeMessage string
	Note               Note // zero when none is live
	Location           Location
	LocationSource     Source
	Forced             bool  // the preferred presence decides; for the owner only
	ForcedUntil        int64 // its end, unix ms, 0 never; for the owner only
}

// Public is what others may get at most: without the times of the note and
// without what tells a chosen presence from a true one.
func (s State) Public() State {
	s.Note.Published, s.Note.Expiry = 0, 0
	s.Forced, s.ForcedUntil = false, 0
	return s
}

// Seen is what a viewer gets; the owner gets the State itself. Hidden and
// Unknown carry nothing of s.
func (s State) Seen(v View) State {
	switch v {
	case Full:
		return s.Public()
	case Hidden:
		return State{Availability: Offline, Activity: ActOffline}
	}
	return State{Availability: PresenceUnknown, Activity: ActPresenceUnknown}
}

// Visible tells whether a viewer with a full view could tell s from o. The time
// of the last activity alone does not count: it would announce every keystroke.
func (s State) Visible(o State) bool {
	s, o = s.Public(), o.Public()
	s.LastActive, o.LastActive = 0, 0
	return s != o
}
