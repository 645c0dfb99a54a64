package presence

import (
	"fmt"
	"strings"
)

// Availability is the base state. Its numbers are stored and must not change.
type Availability uint8

// The availabilities of Microsoft Graph's presence resource, and PresenceUnknown as
// the zero value: whoever has not been told anything shows nothing.
const (
	PresenceUnknown Availability = iota
	Available
	AvailableIdle
	Busy
	BusyIdle
	DoNotDisturb
	BeRightBack
	Away
	Offline
)

var availabilityNames = []string{"PresenceUnknown", "Available", "AvailableIdle", "Busy", "BusyIdle",
	"DoNotDisturb", "BeRightBack", "Away", "Offline"}

// String is the PascalCase name used on the wire.
func (a Availability) String() string { return name(availabilityNames, uint8(a)) }

// ParseAvailability reads a name in any case; others are ErrValue.
func ParseAvailability(s string) (Availability, error) {
	n, err := parse(availabilityNames, s, "availability")
	return Availability(n), err
}

// Activity is the detail shown beside an availability. Its numbers are stored
// and must not change.
type Activity uint8

// The activities of Microsoft Graph's presence resource.
const (
	ActPresenceUnknown Activity = iota
	ActAvailable
	ActAway
	ActBeRightBack
	ActBusy
	ActDoNotDisturb
	ActInACall
	ActInAConferenceCall
	ActInactive
	ActInAMeeting
	ActOffline
	ActOffWork
	ActOutOfOffice
	ActPresenting
	ActUrgentInterruptionsOnly
	ActFocusing
)

var activityNames = []string{"PresenceUnknown", "Available", "Away", "BeRightBack", "Busy", "DoNotDisturb",
	"InACall", "InAConferenceCall", "Inactive", "InAMeeting", "Offline", "OffWork", "OutOfOffice",
	"Presenting", "UrgentInterruptionsOnly", "Focusing"}

// String is the PascalCase name used on the wire.
func (a Activity) String() string { return name(activityNames, uint8(a)) }

// ParseActivity reads a name in any case; others are ErrValue.
func ParseActivity(s string) (Activity, error) {
	n, err := parse(activityNames, s, "activity")
	return Activity(n), err
}

// Device is the kind of client behind a session. Its numbers are stored.
type Device uint8

// The devices; App is a session that an application keeps for a user.
const (
	DeviceUnknown Device = iota
	Desktop
	Web
	Mobile
	App
)

var deviceNames = []string{"Unknown", "Desktop", "Web", "Mobile", "App"}

// String is the PascalCase name used on the wire.
func (d Device) String() string { return name(deviceNames, uint8(d)) }

// ParseDevice reads a name in any case; others are ErrValue.
func ParseDevice(s string) (Device, error) {
	n, err := parse(deviceNames, s, "device")
	return Device(n), err
}

// LocationType says where somebody works. Its numbers are stored.
type LocationType uint8

// The work location types of Microsoft Graph's userWorkLocation.
const (
	LocationUnspecified LocationType = iota
	LocationOffice
	LocationRemote
	LocationTimeOff
)

var locationNames = []string{"Unspecified", "Office", "Remote", "TimeOff"}

// String is the PascalCase name.
func (l LocationType) String() string { return name(locationNames, uint8(l)) }

// ParseLocationType reads a name in any case; others are ErrValue.
func ParseLocationType(s string) (LocationType, error) {
	n, err := parse(locationNames, s, "location type")
	return LocationType(n), err
}

// Source says which layer the shown work location came from.
type Source uint8

// The sources of Microsoft Graph's userWorkLocation.
const (
	SourceNone Source = iota
	SourceManual
	SourceScheduled
	SourceAutomatic
)

var sourceNames = []string{"None", "Manual", "Scheduled", "Automatic"}

// String is the PascalCase name.
func (s Source) String() string { return name(sourceNames, uint8(s)) }

// EntryKind is what a calendar entry means for presence. Its numbers are stored.
type EntryKind uint8

// The calendar entries that count; a zero kind is invalid.
const (
	Meeting EntryKind = iota + 1
	Focus
	OutOfOffice
)

var entryNames = []string{"Invalid", "Meeting", "Focus", "OutOfOffice"}

// String is the PascalCase name.
func (k EntryKind) String() string { return name(entryNames, uint8(k)) }

// ParseEntryKind reads a name in any case; others are ErrValue.
func ParseEntryKind(s string) (EntryKind, error) {
	n, err := parse(entryNames, s, "calendar entry")
	if err == nil && n == 0 {
		return 0, fmt.Errorf("calendar entry: %w", ErrValue)
	}
	return EntryKind(n), err
}

func name(names []string, n uint8) string {
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("Invalid(%d)", n)
}

// parse compares lengths too: EqualFold alone would take non-ASCII look-alikes.
func parse(names []string, s, what string) (uint8, error) {
	for i, n := range names {
		if len(n) == len(s) && strings.EqualFold(n, s) {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("unknown %s: %w", what, ErrValue)
}
