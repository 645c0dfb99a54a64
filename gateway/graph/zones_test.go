package graph_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/gateway/graph"
)

// TestEveryWindowsZoneIsThere: each name of the table leads to a zone that the
// embedded database has.
func TestEveryWindowsZoneIsThere(t *testing.T) {
	names := graph.WindowsZones()
	if len(names) < 130 {
		t.Fatalf("%d names, CLDR has about 140", len(names))
	}
	for _, name := range names {
		if zone, err := graph.ZoneOf(strings.ToUpper(name)); err != nil || zone == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsNoZoneIsNotLookedUp: the names are files.
func TestWhatIsNoZoneIsNotLookedUp(t *testing.T) {
	for _, name := range []string{"../x", "a.b", "a b", `a\b`, "a\x00", "ä", strings.Repeat("a", 65)} {
		if graph.ZoneText(name) {
			t.Errorf("%q would be looked up", name)
		}
	}
	for _, name := range []string{"UTC", "Etc/GMT+12", "America/Port-au-Prince", "America/North_Dakota/New_Salem"} {
		if !graph.ZoneText(name) {
			t.Errorf("%q would not be looked up", name)
		}
	}
}

func FuzzZone(f *testing.F) {
	for _, name := range []string{"", "UTC", "Local", "Pacific Standard Time", "Europe/Berlin", "../x", "/etc/localtime", "a\x00b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		zone, err := graph.ZoneOf(name)
		if (zone == nil) != (err != nil) {
			t.Fatalf("%q: %v, %v", name, zone, err)
		}
		if zone == time.Local {
			t.Fatalf("%q is the node's own zone", name)
		}
	})
}

var docRow = regexp.MustCompile("(?m)^\\| `(GET|POST) /([^`]*)`")

// TestDocumentedRoutes: docs/graph.md lists the paths that there are. One row
// stands for the three addresses of a presence.
func TestDocumentedRoutes(t *testing.T) {
	text, err := os.ReadFile("../../docs/graph.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range docRow.FindAllStringSubmatch(string(text), -1) {
		path := strings.ToLower(m[2])
		rest, everywhere := strings.CutPrefix(path, "{presence}")
		if !everywhere {
			documented = append(documented, m[1]+" "+path)
			continue
		}
		for _, at := range []string{"me/presence", "users/{id}/presence", "communications/presences/{id}"} {
			documented = append(documented, m[1]+" "+at+rest)
		}
	}
	routes := graph.Routes()
	slices.Sort(routes)
	slices.Sort(documented)
	if !slices.Equal(routes, documented) {
		t.Errorf("documented:\n%s\nserved:\n%s", strings.Join(documented, "\n"), strings.Join(routes, "\n"))
	}
	if err := errors.Join(missing(string(text))...); err != nil {
		t.Error(err)
	}
}

// missing finds the numbers that the page must name.
func missing(text string) (errs []error) {
	for _, must := range []string{"650", "1,500", "PT5M", "PT4H", "20 requests", "64 KiB", "280"} {
		if !strings.Contains(text, must) {
			errs = append(errs, errors.New("docs/graph.md does not say "+must))
		}
	}
	return errs
}
