package population

// State is what a device publishes of itself.
type State uint8

// The states of this package's people, all of them legal for a device.
const (
	Available State = iota
	Busy
	InACall
	InAMeeting
	Presenting
	Away
	BeRightBack
	Idle
	states
)

var words = [states][2]string{
	Available:   {"Available", "Available"},
	Busy:        {"Busy", "Busy"},
	InACall:     {"Busy", "InACall"},
	InAMeeting:  {"Busy", "InAConferenceCall"},
	Presenting:  {"DoNotDisturb", "Presenting"},
	Away:        {"Away", "Away"},
	BeRightBack: {"BeRightBack", "BeRightBack"},
	Idle:        {"AvailableIdle", "Inactive"},
}

// Availability is the first word of the state in the protocol.
func (s State) Availability() string { return words[s][0] }

// Activity is its second word.
func (s State) Activity() string { return words[s][1] }
