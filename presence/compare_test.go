package presence

import (
	"cmp"
	"testing"
)

// Values that differ from one another in one field each.
var different = []Value{
	nil,
	Session{}, Session{Availability: Busy}, Session{Activity: ActBusy}, Session{Device: Web}, Session{App: true},
	Session{Leased: true}, Session{LastActive: 1}, Session{LastActive: -1},
	Preferred{}, Preferred{Availability: Busy}, Preferred{Activity: ActBusy},
	Note{}, Note{Content: "x"}, Note{Pinned: true}, Note{Published: 1}, Note{Expiry: 1},
	Calendar{}, Calendar{[]Entry{{}}}, Calendar{[]Entry{{}, {}}}, Calendar{[]Entry{{Kind: Focus}}}, Calendar{[]Entry{{Start: 1}}},
	Calendar{[]Entry{{End: 1}}}, Calendar{[]Entry{{Message: "x"}}}, Calendar{[]Entry{{}, {Start: 1}}},
	Call{}, Call{Parties: 1}, Call{Presenting: true},
	Location{}, Location{Type: LocationOffice}, Location{PlaceID: "x"},
	Block{},
	Watch{}, Watch{[]UserID{alice}}, Watch{[]UserID{bob}}, Watch{[]UserID{alice, bob}},
}

func TestCompareValuesIsATotalOrder(t *testing.T) {
	for i, a := range different {
		for j, b := range different {
			ab := compareValues(a, b)
			if (ab == 0) != (i == j) || ab != -compareValues(b, a) {
				t.Errorf("%#v to %#v: %d", a, b, ab)
			}
			for _, c := range different {
				if ab < 0 && compareValues(b, c) < 0 && compareValues(a, c) >= 0 {
					t.Errorf("%#v, %#v, %#v are in a circle", a, b, c)
				}
			}
		}
	}
}

func TestCompareElements(t *testing.T) {
	v := Block{}
	rising := []Element{
		{Value: v, Expires: 1}, {Value: v, Expires: 2}, {Value: v}, {Expires: 1}, {Expires: 2}, {},
		{Stamp: Stamp{1, 0}, Value: v, Expires: 1}, {Stamp: Stamp{1, 1}, Value: v, Expires: 1}, {Stamp: Stamp{2, 0}, Value: v, Expires: 1},
	}
	for i, a := range rising {
		for j, b := range rising {
			if got := compareElements(a, b); got != cmp.Compare(i, j) {
				t.Errorf("%v to %v: %d", a, b, got)
			}
		}
	}
}
