package target

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"rollcall/presence"
)

// Policy is what a tenant of a load test is told to be.
type Policy struct {
	ChangeInterval time.Duration
	Grace          time.Duration
}

// adminPause keeps below the 10 administrative requests a second that a node
// takes.
const adminPause = 110 * time.Millisecond

// SetPolicies sets the policy of tenants at a node; token gives an administrator's
// of a tenant.
func SetPolicies(ctx context.Context, url string, tenants []string, p Policy, token func(tenant string) (string, error)) error {
	body, err := json.Marshal(map[string]string{
		"changeInterval": presence.FormatDuration(p.ChangeInterval), "grace": presence.FormatDuration(p.Grace),
	})
	if err != nil {
		return err
	}
	for i, tenant := range tenants {
		if i > 0 {
			select {
			case <-time.After(adminPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		t, err := token(tenant)
		if err != nil {
			return err
		}
		if err := put(ctx, url+"/admin/v1/tenants/"+tenant+"/policy", t, body); err != nil {
			return fmt.Errorf("policy of tenant %s: %w", tenant, err)
		}
	}
	return nil
}

func put(ctx context.Context, url, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s: %.300s", res.Status, text)
	}
	return nil
}
