package client

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"

	"rollcall/messages"
)

const (
	// renewAhead is how long before a token's end a new one is asked for, unless
	// the token's whole life is short.
	renewAhead = 2 * time.Minute
	// renewAgain is the pause after a token that could not be renewed.
	renewAgain = 10 * time.Second
)

// renew keeps the connection's token fresh until the connection ends. Where that
// fails, the node closes the connection and the next one needs a new token.
func (l *link) renew() {
	wait := renewIn(l.token, time.Now())
	for {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.expiring:
		case <-l.ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
		wait = renewAgain
		if err := l.replaceToken(); err != nil {
			l.c.cfg.Log.Warn("the token could not be renewed", "error", err)
			continue
		}
		wait = max(renewIn(l.token, time.Now()), renewAgain)
	}
}

// replaceToken hands the node a newer token, if there is one.
func (l *link) replaceToken() error {
	fresh, err := l.c.token(l.ctx)
	if err != nil || fresh == l.token {
		return err
	}
	f := &messages.ClientFrame{Frame: &messages.ClientFrame_Token{Token: &messages.TokenRefresh{Token: fresh}}}
	k := &call{frame: f, link: true}
	if err := l.c.enqueue(k); err != nil {
		return err
	}
	a, err := l.c.await(l.ctx, k)
	if err == nil {
		err = a.err
	}
	if err == nil {
		l.token = fresh
	}
	return err
}

// renewIn is the time until a token should be replaced; of one that does not
// show its end, for ever: the node warns before it.
func renewIn(token string, now time.Time) time.Duration {
	end, ok := expiry(token)
	if !ok {
		return math.MaxInt64
	}
	left := end.Sub(now)
	return max(left-min(renewAhead, left/4), 0)
}

// expiry reads the end of a JWT's life. Nothing is verified: it only says when
// to ask for another one.
func expiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	const last = 1 << 40 // seconds, some 35,000 years
	if json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 || claims.Exp > last {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}
