package graph

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/actors"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/presence"
)

// publish turns a source into the change of the path's user, through the same
// rules as every other surface.
func (a *API) publish(c *call, ok int, s front.Source, adjust ...func(*actors.Publish)) (answer, error) {
	u, err := c.subject()
	if err != nil {
		return answer{}, err
	}
	if c.caller.Application {
		s.User = u.MRI
	}
	_, p, err := a.front.Publication(c.caller, &s, front.Origin{})
	if err != nil {
		return answer{}, err
	}
	for _, f := range adjust {
		f(&p)
	}
	_, err = a.front.Actors.Publish(c, u, p)
	return answer{status: ok}, a.front.Actor(err)
}

// params reads an action's body once it is known that the caller may act.
func (c *call) params(into any) error {
	u, err := c.subject()
	if err == nil {
		err = c.mayWrite(u)
	}
	if err == nil {
		err = c.decode(into)
	}
	return err
}

// state is what setPresence and setUserPreferredPresence take alike.
type state struct {
	Availability string `json:"availability"`
	Activity     string `json:"activity"`
	Duration     string `json:"expirationDuration"`
}

func (s state) source(kind, key string) front.Source {
	return front.Source{Source: kind, Key: key, Availability: s.Availability, Activity: s.Activity, Duration: s.Duration}
}

// check names the field that is wrong. legal says which pairs may be set,
// lasts how long.
func (s state) check(
	legal func(presence.Availability, presence.Activity) error,
	lasts func(presence.Availability, time.Duration) (time.Duration, error),
) error {
	a, err := presence.ParseAvailability(s.Availability)
	if err != nil {
		return bad("availability", "is missing or none that Graph knows")
	}
	act, err := presence.ParseActivity(s.Activity)
	if err != nil {
		return bad("activity", "is missing or none that Graph knows")
	}
	if err := legal(a, act); err != nil {
		return within("activity", messages.ErrBadPair.With(
			fmt.Sprintf("%s cannot be set with availability %s here", act, a)))
	}
	d := time.Duration(0)
	if s.Duration != "" {
		d, err = presence.ParseDuration(s.Duration)
	}
	if err == nil {
		_, err = lasts(a, d)
	}
	if err != nil {
		return within("expirationDuration", err)
	}
	return nil
}

func appLasts(_ presence.Availability, d time.Duration) (time.Duration, error) {
	return presence.AppDuration(d)
}

func (a *API) setPresence(c *call) (answer, error) {
	var in struct {
		Session string `json:"sessionId"`
		state
	}
	if err := c.params(&in); err != nil {
		return answer{}, err
	}
	if in.Session == "" {
		return answer{}, bad("sessionId", "is required: the application's client id")
	}
	if err := in.check(presence.CheckAppSession, appLasts); err != nil {
		return answer{}, err
	}
	ans, err := a.publish(c, http.StatusOK, in.source("app", in.Session))
	if errors.Is(err, messages.ErrBadID) {
		err = bad("sessionId", "want at most %d of A-Z a-z 0-9 . _ : @ + -", presence.MaxSessionID)
	}
	return ans, err
}

func (a *API) clearPresence(c *call) (answer, error) {
	var in struct {
		Session string `json:"sessionId"`
	}
	if err := c.params(&in); err != nil {
		return answer{}, err
	}
	if in.Session == "" {
		return answer{}, bad("sessionId", "is required")
	}
	ans, err := a.publish(c, http.StatusOK, front.Source{Source: "app", Key: in.Session, Clear: true},
		func(p *actors.Publish) { p.Mutations[0].MustExist = true })
	if errors.Is(err, messages.ErrNoSession) {
		err = messages.ErrNoSession.With("There is no presence session with this sessionId.")
	}
	return ans, err
}

func (a *API) setPreferred(c *call) (answer, error) {
	var in state
	if err := c.params(&in); err != nil {
		return answer{}, err
	}
	if err := in.check(presence.CheckPreferred, presence.PreferredDuration); err != nil {
		return answer{}, err
	}
	return a.publish(c, http.StatusOK, in.source("preferred", ""))
}

func (a *API) clearPreferred(c *call) (answer, error) {
	if err := c.params(&struct{}{}); err != nil {
		return answer{}, err
	}
	return a.publish(c, http.StatusOK, front.Source{Source: "preferred", Clear: true})
}

func (a *API) setStatusMessage(c *call) (answer, error) {
	var in struct {
		Status *struct {
			Message *itemBody `json:"message"`
			Expiry  *moment   `json:"expiryDateTime"`
		} `json:"statusMessage"`
	}
	if err := c.params(&in); err != nil {
		return answer{}, err
	}
	if in.Status == nil || in.Status.Message == nil {
		return answer{}, bad("statusMessage", "needs a message; an empty content clears it")
	}
	m := in.Status.Message
	if m.Type != "" && !strings.EqualFold(m.Type, "text") {
		return answer{}, bad("statusMessage.message.contentType", "only text is supported")
	}
	if err := presence.CheckNote(m.Content); err != nil {
		return answer{}, within("statusMessage.message.content", err)
	}
	until, err := in.Status.Expiry.until(c.now)
	if err != nil {
		return answer{}, err
	}
	return a.publish(c, http.StatusOK, front.Source{Source: "note", Note: m.Content}, func(p *actors.Publish) {
		if n, ok := p.Mutations[0].Value.(presence.Note); ok {
			n.Expiry = until
			p.Mutations[0].Value = n
		}
	})
}

// until is the end of a status message in unix ms, 0 for none.
func (m *moment) until(now time.Time) (int64, error) {
	if m == nil {
		return 0, nil
	}
	at, err := m.parse()
	if err != nil {
		p := problemOf(err)
		p.text = "statusMessage.expiryDateTime." + p.text
		return 0, p
	}
	if !at.After(now) || at.UTC().Year() > maxYear {
		return 0, bad("statusMessage.expiryDateTime", "must lie in the future, and before the year %d", maxYear+1)
	}
	return at.UnixMilli(), nil
}

// maxYear is the last that an RFC 3339 time can name.
const maxYear = 9999

func (a *API) setManualLocation(c *call) (answer, error) {
	return a.setLocation(c, presence.Manual)
}

func (a *API) setAutomaticLocation(c *call) (answer, error) {
	return a.setLocation(c, presence.Automatic)
}

// setLocation keeps the location until it is cleared: Graph gives it no end.
func (a *API) setLocation(c *call, layer presence.Layer) (answer, error) {
	var in struct {
		Type  string `json:"workLocationType"`
		Place string `json:"placeId"`
	}
	if err := c.params(&in); err != nil {
		return answer{}, err
	}
	if _, err := presence.ParseLocationType(in.Type); err != nil {
		return answer{}, bad("workLocationType", "want unspecified, office, remote or timeOff")
	}
	ans, err := a.publish(c, http.StatusNoContent, front.Source{
		Source: "location", Key: layer.String(), LocationType: in.Type, PlaceID: in.Place,
	})
	if errors.Is(err, messages.ErrBadRequest) {
		err = bad("placeId", "want at most %d bytes of plain text", presence.MaxPlaceID)
	}
	return ans, err
}

func (a *API) clearAutomaticLocation(c *call) (answer, error) {
	return a.clearLayers(c, presence.Automatic)
}

func (a *API) clearLocation(c *call) (answer, error) {
	return a.clearLayers(c, presence.Manual, presence.Automatic)
}

// clearLayers is one change, whatever the number of layers.
func (a *API) clearLayers(c *call, layers ...presence.Layer) (answer, error) {
	if err := c.params(&struct{}{}); err != nil {
		return answer{}, err
	}
	s := front.Source{Source: "location", Key: layers[0].String(), Clear: true}
	return a.publish(c, http.StatusNoContent, s, func(p *actors.Publish) {
		for _, l := range layers[1:] {
			p.Mutations = append(p.Mutations, presence.Mutation{Op: presence.Clear, Key: presence.LocationKey(l)})
		}
	})
}
