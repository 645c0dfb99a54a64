package presence

import (
	"strings"
	"testing"
)

func roundTrip[T ~uint8](t *testing.T, names []string, text func(T) string, read func(string) (T, error)) {
	t.Helper()
	for i, n := range names {
		if n == "Invalid" {
			if v, err := read(n); !isError(err, ErrValue) {
				t.Errorf("%q read as %d, %v", n, v, err)
			}
			continue
		}
		if got := text(T(i)); got != n {
			t.Errorf("%d is %q, want %q", i, got, n)
		}
		for _, s := range []string{n, strings.ToLower(n), strings.ToUpper(n), strings.ToLower(n[:1]) + n[1:]} {
			if v, err := read(s); err != nil || v != T(i) {
				t.Errorf("%q read as %d, %v", s, v, err)
			}
		}
	}
	for _, s := range []string{"", " " + names[1], names[1] + "\x00", "1", "Invalid(9)", text(T(len(names)))} {
		if v, err := read(s); !isError(err, ErrValue) {
			t.Errorf("%q read as %d, %v", s, v, err)
		}
	}
	if got := text(255); got != "Invalid(255)" {
		t.Errorf("255 is %q", got)
	}
}

func TestValueNames(t *testing.T) {
	roundTrip(t, strings.Fields("PresenceUnknown Available AvailableIdle Busy BusyIdle DoNotDisturb BeRightBack Away Offline"),
		Availability.String, ParseAvailability)
	roundTrip(t, strings.Fields("PresenceUnknown Available Away BeRightBack Busy DoNotDisturb InACall InAConferenceCall Inactive "+
		"InAMeeting Offline OffWork OutOfOffice Presenting UrgentInterruptionsOnly Focusing"), Activity.String, ParseActivity)
	roundTrip(t, strings.Fields("Unknown Desktop Web Mobile App"), Device.String, ParseDevice)
	roundTrip(t, strings.Fields("Unspecified Office Remote TimeOff"), LocationType.String, ParseLocationType)
	roundTrip(t, strings.Fields("Invalid Meeting Focus OutOfOffice"), EntryKind.String, ParseEntryKind)
	roundTrip(t, strings.Fields("Open AllowList BlockList"), Federation.String, ParseFederation)
}

func TestLookAlikesAreNotValues(t *testing.T) {
	for _, s := range []string{"BeRightBac\u212a", "Bu\u017fy"} {
		if v, err := ParseAvailability(s); err == nil {
			t.Errorf("%q read as %s", s, v)
		}
	}
}
