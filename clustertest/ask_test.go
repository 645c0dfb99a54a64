package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// request is what is sent: an empty method is POST where there is a body, else
// GET.
type request struct{ json, token, method string }

// refusal is an answer that is none of success.
type refusal struct {
	status int
	code   string
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.text) }

// fetch gets a URL, or posts to it when there is a body. What a node has refused
// is a *refusal; nothing else says what has become of it.
func fetch(ctx context.Context, h *http.Client, url string, body *request) ([]byte, error) {
	var r request
	if body != nil {
		r = *body
	}
	method, text := r.method, io.Reader(nil)
	if r.json != "" {
		text = strings.NewReader(r.json)
	}
	if method == "" {
		method = http.MethodGet
		if text != nil {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, text)
	if err != nil {
		return nil, err
	}
	if text != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err == nil && res.StatusCode/100 != 2 {
		err = refused(res.StatusCode, answer)
	}
	return answer, err
}

func refused(status int, answer []byte) *refusal {
	var body struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(answer, &body) != nil || body.Error.Code == "" {
		body.Error.Message = string(answer[:min(len(answer), 200)])
	}
	return &refusal{status, body.Error.Code, body.Error.Message}
}
