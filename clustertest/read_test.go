package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/presence"
)

// reader is a user of no connection who looks for the harness itself.
const reader = 1 << 40

const readTime = 2 * time.Second

// read asks a gateway, as a user, for the presence of users.
func (c *cluster) read(ctx context.Context, gateway string, as int, users []int) (map[int]item, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	items := map[int]item{}
	for part := range slices.Chunk(users, 600) {
		var names []string
		for _, u := range part {
			names = append(names, userMRI(u))
		}
		body, err := json.Marshal(map[string]any{"users": names})
		if err != nil {
			return nil, err
		}
		text, err := fetch(ctx, c.http, gateway+"/v1/presence", &request{json: string(body), token: c.issuer.token(as)})
		if err == nil {
			err = parseItems(text, items)
		}
		if err != nil {
			return nil, fmt.Errorf("read from %s: %w", c.nameOf(gateway), err)
		}
	}
	return items, nil
}

func parseItems(text []byte, into map[int]item) error {
	var answer struct {
		Items []struct{ User, Version, Availability, Activity string }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	for _, it := range answer.Items {
		n, err := userNumber(it.User)
		if err != nil {
			return fmt.Errorf("%q is nobody", it.User)
		}
		v, err := presence.ParseVersion(it.Version)
		if err != nil {
			return err
		}
		a, errA := presence.ParseAvailability(it.Availability)
		act, errB := presence.ParseActivity(it.Activity)
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		into[n] = item{v, shown{a, act}}
	}
	return nil
}
