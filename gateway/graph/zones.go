package graph

import (
	"strings"
	"time"
	_ "time/tzdata" // a node knows the time zones of its callers wherever it runs
)

// maxZone bounds a time zone's name, in bytes; the longest that exists has 42.
const maxZone = 64

// moment is Graph's dateTimeTimeZone.
type moment struct {
	DateTime string `json:"dateTime"`
	TimeZone string `json:"timeZone"`
}

const localLayout = "2006-01-02T15:04:05" // Parse takes a fraction behind the seconds too

// parse gives the moment's time. dateTime has no offset of its own; one with an
// offset or a Z, which clients send although they should not, means that offset.
func (m moment) parse() (time.Time, error) {
	if len(m.DateTime) > maxZone {
		return time.Time{}, bad("dateTime", "longer than %d bytes", maxZone)
	}
	zone, err := zoneOf(m.TimeZone)
	if err != nil {
		return time.Time{}, err
	}
	if at, err := time.Parse(time.RFC3339, m.DateTime); err == nil {
		return at, nil
	}
	at, err := time.ParseInLocation(localLayout, m.DateTime, zone)
	if err != nil {
		return time.Time{}, bad("dateTime", "want a time such as 2026-11-22T17:05:33, without a zone")
	}
	return at, nil
}

// zoneOf takes a name of Windows, in any case, or of the IANA database; an
// empty one is UTC.
func zoneOf(name string) (*time.Location, error) {
	iana, ok := windowsZones[strings.ToLower(name)]
	if !ok {
		iana = name
	}
	unknown := bad("timeZone", "not a time zone of Windows or of the IANA database")
	if !zoneText(iana) || strings.EqualFold(iana, "local") {
		return nil, unknown
	}
	zone, err := time.LoadLocation(iana)
	if err != nil {
		return nil, unknown
	}
	return zone, nil
}

// zoneText allows what IANA's names are made of. The names are files of the
// system's database, so nothing else may get there.
func zoneText(s string) bool {
	return len(s) <= maxZone && strings.IndexFunc(s, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && !strings.ContainsRune("/_+-", c)
	}) < 0
}

// momentOf writes unix ms in UTC.
func momentOf(ms int64) *moment {
	return &moment{DateTime: time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.0000000"), TimeZone: "UTC"}
}
