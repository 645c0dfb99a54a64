package presence

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Each check allows exactly its list, out of all pairs of all numbers.
func TestPairs(t *testing.T) {
	for name, tt := range map[string]struct {
		check func(Availability, Activity) error
		legal string
	}{
		"app": {CheckAppSession, "Available/Available Busy/InACall Busy/InAConferenceCall Away/Away DoNotDisturb/Presenting"},
		"preferred": {CheckPreferred, "Available/Available Busy/Busy DoNotDisturb/DoNotDisturb BeRightBack/BeRightBack " +
			"Away/Away Offline/OffWork"},
		"client": {CheckClient, strings.Join(order, " ")},
	} {
		legal := strings.Fields(tt.legal)
		for a := range Availability(12) {
			for act := range Activity(20) {
				want := false
				for _, l := range legal {
					want = want || l == a.String()+"/"+act.String()
				}
				if err := tt.check(a, act); (err == nil) != want || err != nil && !isError(err, ErrPair) {
					t.Errorf("%s %s/%s: %v", name, a, act, err)
				}
			}
		}
	}
}

func TestAppDuration(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: 5 * min1, 5 * min1: 5 * min1, 4 * hour: 4 * hour, 5*min1 - 1: -1, 4*hour + 1: -1, -1: -1, -hour: -1,
	} {
		got, err := AppDuration(d)
		if refused := isError(err, ErrDuration); refused != (want < 0) || !refused && got != want {
			t.Errorf("%s: %s, %v", d, got, err)
		}
	}
}

func TestPreferredDuration(t *testing.T) {
	for a, want := range map[Availability]time.Duration{
		Busy: 24 * hour, DoNotDisturb: 24 * hour, Available: 168 * hour, BeRightBack: 168 * hour, Away: 168 * hour, Offline: 168 * hour,
	} {
		if got, err := PreferredDuration(a, 0); err != nil || got != want {
			t.Errorf("%s: %s, %v", a, got, err)
		}
		if got, err := PreferredDuration(a, min1); err != nil || got != min1 {
			t.Errorf("%s for a minute: %s, %v", a, got, err)
		}
	}
	for _, d := range []time.Duration{-1, MaxPreferred + 1} {
		if _, err := PreferredDuration(Busy, d); !isError(err, ErrDuration) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"PT5M": 5 * min1, "P1D": 24 * hour, "PT4H1M": 4*hour + min1, "P7D": 168 * hour, "P1DT2H3M4S": 26*hour + 3*min1 + 4*time.Second,
		"PT90M": 90 * min1, "PT0.5S": time.Second / 2, "PT1.000000001S": time.Second + 1, "P2W": 14 * 24 * hour, "P0DT1S": time.Second,
		"PT0H5M": 5 * min1, "PT3600S": hour, "P106751D": 106751 * 24 * hour,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "P", "PT", "T5M", "5M", "PT5", "P5", "P1M", "P1Y", "P1DT", "pt5m", "PT5m", "-PT5M", "PT-5M", "PT+5M",
		"PT5M5H", "PT5M5M", "PT.5S", "PT1.S", "PT1.0000000001S", "PT1.5M", "P1.5D", "PT 5M", "PT5M ", "PT0S", "P0D", "P1WT1H", "P1W1D",
		"P1H", "PT1D", "P106752D", "PT9223372036S9M", "PT2562047H48M", "PT2562047H153722867M9223372036S", "PT9223372036.9S", "PT99999999999999999999S", "P106751DT24H", "PT1_0S", "PT0x5S", "PTH",
		"P" + strings.Repeat("0", 80) + "1D"} {
		if got, err := ParseDuration(s); !isError(err, ErrDuration) {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * min1: "PT5M", 24 * hour: "P1D", 168 * hour: "P7D", 4*hour + min1: "PT4H1M", 26 * hour: "P1DT2H",
		1500 * time.Millisecond: "PT1.5S", 1: "PT0.000000001S", 0: "PT0S", -hour: "PT0S",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, 1<<63-1).Draw(t, "d"))
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%d as %s read as %d, %v", d, FormatDuration(d), got, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"PT5M", "P1DT2H3M4.5S", "P2W", "PT", "P106752D", "PT9223372036.854775807S", "P1DT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if again, err := ParseDuration(FormatDuration(d)); d <= 0 || err != nil || again != d {
			t.Errorf("%q is %d, again %d, %v", s, d, again, err)
		}
	})
}

func TestCheckNote(t *testing.T) {
	for _, s := range []string{"", "back at 5", "Grüße 👩‍💻 שלום", strings.Repeat("x", 280), strings.Repeat("😀", 280)} {
		if err := CheckNote(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"281 characters": strings.Repeat("x", 281), "281 wide characters": strings.Repeat("😀", 281),
		"invalid UTF-8": "a\xff", "cut UTF-8": "😀"[:3], "surrogate": "\xed\xa0\x80", "NUL": "a\x00", "newline": "a\nb", "delete": "a\x7f",
		"C1 control": "a\u0085", "override": "a\u202eb", "embedding": "\u202a", "isolate": "\u2066", "end of isolate": "\u2069",
		"line separator": "\u2028", "paragraph separator": "\u2029", "escape": "\x1b[2J",
	} {
		if err := CheckNote(s); !isError(err, ErrNote) {
			t.Errorf("%s: %v", name, err)
		} else if len(s) > 2 && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error repeats the note", name)
		}
	}
}

func FuzzCheckNote(f *testing.F) {
	for _, s := range []string{"back at 5", "a\u202eb", "a\xff", "😀", strings.Repeat("x", 281)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckNote(s) != nil {
			return
		}
		if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 280 || len(s) > 1120 || strings.ContainsAny(s, "\x00\n\r\u202e\u2066") {
			t.Errorf("allowed %q", s)
		}
	})
}
