package presence

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of user text and durations. Those of app sessions, and both defaults
// of the preferred presence, are Microsoft Graph's; the rest are ours.
const (
	MaxNoteRunes = 280
	MaxNoteBytes = 1120

	MinAppSession   = 5 * time.Minute
	MaxAppSession   = 4 * time.Hour
	MaxPreferred    = 366 * day
	day             = 24 * time.Hour
	busyPreferred   = day
	normalPreferred = 7 * day
)

type pair struct {
	availability Availability
	activity     Activity
}

// Microsoft Graph's list for setPresence, DoNotDisturb from its beta page.
var appPairs = []pair{
	{Available, ActAvailable}, {Busy, ActInACall}, {Busy, ActInAConferenceCall},
	{Away, ActAway}, {DoNotDisturb, ActPresenting},
}

// Microsoft Graph's list for setUserPreferredPresence.
var preferredPairs = []pair{
	{Available, ActAvailable}, {Busy, ActBusy}, {DoNotDisturb, ActDoNotDisturb},
	{BeRightBack, ActBeRightBack}, {Away, ActAway}, {Offline, ActOffWork},
}

// What clients see of the machine they run on. Meetings, focus time and out of
// office come from the calendar; appearing offline is a preferred presence.
var clientPairs = []pair{
	{Available, ActAvailable}, {AvailableIdle, ActInactive},
	{Busy, ActBusy}, {Busy, ActInACall}, {Busy, ActInAConferenceCall},
	{BusyIdle, ActBusy}, {BusyIdle, ActInACall}, {BusyIdle, ActInAConferenceCall},
	{DoNotDisturb, ActDoNotDisturb}, {DoNotDisturb, ActPresenting}, {DoNotDisturb, ActUrgentInterruptionsOnly},
	{BeRightBack, ActBeRightBack}, {Away, ActAway},
}

// CheckAppSession allows what Microsoft Graph's setPresence does; all else is ErrPair.
func CheckAppSession(a Availability, act Activity) error { return checkPair(appPairs, a, act) }

// CheckPreferred allows what Microsoft Graph's setUserPreferredPresence does;
// all else is ErrPair.
func CheckPreferred(a Availability, act Activity) error { return checkPair(preferredPairs, a, act) }

// CheckClient allows what a client may publish about itself; all else is ErrPair.
func CheckClient(a Availability, act Activity) error { return checkPair(clientPairs, a, act) }

func checkPair(legal []pair, a Availability, act Activity) error {
	for _, p := range legal {
		if p == (pair{a, act}) {
			return nil
		}
	}
	return fmt.Errorf("availability %s with activity %s: %w", a, act, ErrPair)
}

// AppDuration is how long an app session lasts: 5 minutes when d is 0, else d,
// which must lie in 5 minutes to 4 hours (Microsoft Graph's bounds), or ErrDuration.
func AppDuration(d time.Duration) (time.Duration, error) {
	if d == 0 {
		return MinAppSession, nil
	}
	if d < MinAppSession || d > MaxAppSession {
		return 0, fmt.Errorf("session lasts PT5M to PT4H: %w", ErrDuration)
	}
	return d, nil
}

// PreferredDuration is how long a preferred presence lasts. When d is 0: one
// day for Busy and DoNotDisturb, seven for the others (Microsoft Graph's
// defaults). At most 366 days, or ErrDuration.
func PreferredDuration(a Availability, d time.Duration) (time.Duration, error) {
	switch {
	case d < 0 || d > MaxPreferred:
		return 0, fmt.Errorf("preferred presence lasts up to P366D: %w", ErrDuration)
	case d > 0:
		return d, nil
	case a == Busy || a == DoNotDisturb:
		return busyPreferred, nil
	}
	return normalPreferred, nil
}

// ParseDuration reads an ISO 8601 duration in weeks or in days, hours, minutes
// and seconds (which may have up to nine decimals). Years and months have no
// fixed length; they, zero, signs and overflow are ErrDuration.
func ParseDuration(iso string) (time.Duration, error) {
	rest, ok := strings.CutPrefix(iso, "P")
	if len(iso) > 64 || !ok {
		return 0, badDuration()
	}
	date, clock, timed := strings.Cut(rest, "T")
	if timed && clock == "" {
		return 0, badDuration()
	}
	var days, hours time.Duration
	var err error
	if weeks, found := strings.CutSuffix(date, "W"); found && !timed {
		days, err = units(weeks+"W", "W", []time.Duration{7 * day})
	} else {
		days, err = units(date, "D", []time.Duration{day})
	}
	if err == nil {
		hours, err = units(clock, "HMS", []time.Duration{time.Hour, time.Minute, time.Second})
	}
	if err != nil || days > math.MaxInt64-hours || days+hours == 0 {
		return 0, badDuration()
	}
	return days + hours, nil
}

func badDuration() error {
	return fmt.Errorf("want a positive ISO 8601 duration such as PT1H30M: %w", ErrDuration)
}

// units reads numbers, each followed by a letter of letters, in their order.
func units(s, letters string, size []time.Duration) (time.Duration, error) {
	var sum time.Duration
	for s != "" {
		n := strings.IndexAny(s, letters)
		if n <= 0 {
			return 0, ErrDuration
		}
		at := strings.IndexByte(letters, s[n])
		d, err := amount(s[:n], size[at])
		if err != nil || sum > math.MaxInt64-d {
			return 0, ErrDuration
		}
		sum += d
		s, letters, size = s[n+1:], letters[at+1:], size[at+1:]
	}
	return sum, nil
}

func amount(s string, unit time.Duration) (time.Duration, error) {
	whole, fraction, decimal := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || n > uint64(math.MaxInt64/unit) {
		return 0, ErrDuration
	}
	d := time.Duration(n) * unit
	if !decimal {
		return d, nil
	}
	if unit != time.Second || fraction == "" || len(fraction) > 9 {
		return 0, ErrDuration
	}
	nano, err := strconv.ParseUint(fraction+strings.Repeat("0", 9-len(fraction)), 10, 63)
	if err != nil || d > math.MaxInt64-time.Duration(nano) {
		return 0, ErrDuration
	}
	return d + time.Duration(nano), nil
}

// FormatDuration writes the ISO 8601 form, which ParseDuration reads back for
// every positive d; others are PT0S.
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "PT0S"
	}
	b := []byte("P")
	if d >= day {
		b = append(strconv.AppendInt(b, int64(d/day), 10), 'D')
	}
	if d %= day; d == 0 {
		return string(b)
	}
	b = append(b, 'T')
	if d >= time.Hour {
		b = append(strconv.AppendInt(b, int64(d/time.Hour), 10), 'H')
	}
	if d %= time.Hour; d >= time.Minute {
		b = append(strconv.AppendInt(b, int64(d/time.Minute), 10), 'M')
	}
	if d %= time.Minute; d == 0 {
		return string(b)
	}
	b = strconv.AppendInt(b, int64(d/time.Second), 10)
	if d %= time.Second; d > 0 {
		b = append(b, '.')
		b = append(b, strings.TrimRight(fmt.Sprintf("%09d", int64(d)), "0")...)
	}
	return string(append(b, 'S'))
}

// CheckNote allows up to 280 code points in up to 1,120 bytes of valid UTF-8
// without control characters or bidirectional overrides; all else is ErrNote.
func CheckNote(content string) error {
	if utf8.RuneCountInString(content) > MaxNoteRunes || !plainText(content, MaxNoteBytes) {
		return fmt.Errorf("note is at most %d characters of plain text: %w", MaxNoteRunes, ErrNote)
	}
	return nil
}

func plainText(s string, maxBytes int) bool {
	return len(s) <= maxBytes && utf8.ValidString(s) && strings.IndexFunc(s, unsafeRune) < 0
}

// replyText is plain text that may have lines.
func replyText(s string) bool {
	return len(s) <= maxReplyBytes && utf8.ValidString(s) && strings.IndexFunc(s, func(c rune) bool {
		return unsafeRune(c) && c != '\n' && c != '\r' && c != '\t'
	}) < 0
}

// unsafeRune finds what could hide or reorder the text around it: controls,
// line separators, and bidirectional embeddings, overrides and isolates.
func unsafeRune(c rune) bool {
	return unicode.IsControl(c) || c == 0x2028 || c == 0x2029 ||
		c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}
