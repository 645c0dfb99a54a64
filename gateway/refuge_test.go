package gateway

import (
	"slices"
	"testing"
	"time"

	"rollcall/cluster/topology"
)

func TestRefuges(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	started := func(ago time.Duration) uint64 { return uint64(now.Add(-ago).UnixMilli()) }
	member := func(id string, ago time.Duration) topology.Member {
		return topology.Member{ID: id, Incarnation: started(ago), Roles: topology.Gateway | topology.Presence, URL: "http://" + id}
	}
	without := func(m topology.Member, change func(*topology.Member)) topology.Member {
		change(&m)
		return m
	}
	day, minute := 24*time.Hour, time.Minute
	for name, tt := range map[string]struct {
		self    topology.Member
		members []topology.Member
		want    []string
	}{
		"nobody":     {member("a", day), nil, nil},
		"itself":     {member("a", day), []topology.Member{member("a", day)}, nil},
		"all":        {member("a", day), []topology.Member{member("a", day), member("b", 2*day), member("c", day-minute)}, []string{"b", "c"}},
		"the young":  {member("a", day), []topology.Member{member("b", day-minute), member("c", minute), member("d", 2*minute)}, []string{"c", "d"}},
		"the first":  {member("a", minute), []topology.Member{member("b", 2*minute), member("c", day)}, []string{"b", "c"}},
		"new itself": {member("a", 0), []topology.Member{member("b", 0), member("c", day)}, []string{"b", "c"}},
		"ahead":      {member("a", -minute), []topology.Member{member("b", day)}, []string{"b"}},
		"those who can": {member("a", day), []topology.Member{
			without(member("b", day), func(m *topology.Member) { m.Leaving = true }),
			without(member("c", minute), func(m *topology.Member) { m.Roles = topology.Presence }),
			without(member("d", minute), func(m *topology.Member) { m.URL = "" }),
			without(member("e", day), func(m *topology.Member) { m.Roles = topology.Gateway }),
		}, []string{"e"}},
	} {
		var got []string
		for _, m := range refuges(tt.members, tt.self, now) {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
