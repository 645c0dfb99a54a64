package presence

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

func TestClockOnlyRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		var last Version
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now := t0.Add(time.Duration(rapid.Int64Range(-int64(100*365*24*hour), int64(100*365*24*hour)).Draw(t, "jump")))
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				v := Version(rapid.Uint64Range(0, math.MaxUint64>>1).Draw(t, "seen"))
				c.Observe(v)
				last = max(last, v)
			case 1:
				v := Version(rapid.Uint64Range(0, math.MaxUint64>>1).Draw(t, "other"))
				if c.Accept(v, now) == nil {
					last = max(last, v)
				}
			default:
				v := c.Next(now)
				if v <= last || v.Millis() < now.UnixMilli() {
					t.Fatalf("%s after %s at %d", v, last, now.UnixMilli())
				}
				last = v
			}
		}
	})
}

func TestClockFollowsTime(t *testing.T) {
	var c Clock
	if v := c.Next(t0); v != Version(t0.UnixMilli()<<16) {
		t.Errorf("first version %d", v)
	}
	if v := c.Next(t0); v != Version(t0.UnixMilli()<<16)+1 {
		t.Errorf("second version %d", v)
	}
	if v := c.Next(t0.Add(-hour)); v != Version(t0.UnixMilli()<<16)+2 {
		t.Errorf("version after a step back %d", v)
	}
	later := t0.Add(time.Second)
	if v := c.Next(later); v != Version(later.UnixMilli()<<16) {
		t.Errorf("version a second later %d", v)
	}
	for range 1 << 16 {
		c.Next(later)
	}
	if v := c.Next(later); v.Millis() != later.UnixMilli()+1 {
		t.Errorf("an overflowing counter gave %d ms", v.Millis()-later.UnixMilli())
	}
	var early Clock
	if v := early.Next(time.Time{}); v != 1 {
		t.Errorf("before 1970: %d", v)
	}
}

func TestAcceptRefusesWhatIsAhead(t *testing.T) {
	var c Clock
	edge := Version((t0.UnixMilli()+5000)<<16 + 0xffff)
	if err := c.Accept(edge, t0); err != nil {
		t.Errorf("5 s ahead: %v", err)
	}
	if err := c.Accept(edge+1, t0); !isError(err, ErrClockAhead) {
		t.Errorf("5.001 s ahead: %v", err)
	}
	if err := c.Accept(math.MaxUint64, t0); !isError(err, ErrClockAhead) {
		t.Errorf("the last version: %v", err)
	}
	if v := c.Next(t0); v != edge+1 {
		t.Errorf("next is %s, want %s", v, edge+1)
	}
}

func TestVersionText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := Version(rapid.Uint64().Draw(t, "a")), Version(rapid.Uint64().Draw(t, "b"))
		if (a < b) != (a.String() < b.String()) {
			t.Fatalf("order of %s and %s", a, b)
		}
		if got, err := ParseVersion(a.String()); err != nil || got != a {
			t.Fatalf("%s read as %d, %v", a, got, err)
		}
	})
	if got := Version(42).String(); got != "A00000000000000000042" {
		t.Error(got)
	}
	for _, s := range []string{"", "A", "A1", "B00000000000000000042", "A0000000000000000004", "A000000000000000000042",
		"A18446744073709551616", "A+0000000000000000042", "A-0000000000000000042", "A0_000000000000000042", "a00000000000000000042"} {
		if v, err := ParseVersion(s); !isError(err, ErrValue) {
			t.Errorf("%q read as %d, %v", s, v, err)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("A00000000000000000042")
	f.Add("A18446744073709551616")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseVersion(s); err == nil && v.String() != s {
			t.Errorf("%q is a second spelling of %s", s, v)
		}
	})
}

func TestStampCompare(t *testing.T) {
	for _, tt := range []struct {
		a, b Stamp
		want int
	}{{Stamp{1, 9}, Stamp{2, 1}, -1}, {Stamp{2, 1}, Stamp{2, 2}, -1}, {Stamp{2, 2}, Stamp{2, 2}, 0}} {
		if got := tt.a.Compare(tt.b); got != tt.want || tt.b.Compare(tt.a) != -tt.want {
			t.Errorf("%v to %v: %d", tt.a, tt.b, got)
		}
	}
}

func TestClockIsEightBytes(t *testing.T) {
	if n := unsafe.Sizeof(Clock{}); n != 8 {
		t.Errorf("%d bytes", n)
	}
}
