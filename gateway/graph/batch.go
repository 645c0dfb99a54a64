package graph

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"rollcall/gateway/front"
	"rollcall/messages"
)

const (
	batchRoute = "$batch"
	// maxBatch is Graph's limit of requests in one batch.
	maxBatch = 20
)

// item is one request of a batch.
type item struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// itemAnswer is the answer to one of them.
type itemAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body,omitempty"`
}

// batch answers each request by itself; the whole is 200 whatever they come
// to. The answers are in the order of the requests.
func (a *API) batch(c *call) (answer, error) {
	if c.batched {
		return answer{}, &problem{
			status: http.StatusBadRequest, code: codeBadRequest, detail: messages.ErrBadRequest.Code,
			text: "A batch cannot be part of a batch.",
		}
	}
	var in struct {
		Requests []item `json:"requests"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	order, err := orderOf(in.Requests)
	if err != nil {
		return answer{}, err
	}
	out := make([]itemAnswer, len(order))
	failed := make(map[string]bool)
	for _, i := range order {
		out[i] = a.serveItem(c, &in.Requests[i], failed)
		failed[out[i].ID] = out[i].Status >= http.StatusBadRequest
	}
	return answer{status: http.StatusOK, body: struct {
		Responses []itemAnswer `json:"responses"`
	}{out}}, nil
}

// orderOf puts each request behind those it depends on, else as they came.
func orderOf(items []item) ([]int, error) {
	if len(items) == 0 || len(items) > maxBatch {
		return nil, bad("requests", "want 1 to %d requests", maxBatch)
	}
	at := make(map[string]int, len(items))
	for i, it := range items {
		if _, twice := at[it.ID]; twice || it.ID == "" {
			return nil, bad("requests", "request %d has no id, or that of another one", i)
		}
		at[it.ID] = i
	}
	for i, it := range items {
		for _, d := range it.DependsOn {
			if _, ok := at[d]; !ok {
				return nil, bad("requests", "request %d depends on one that is not there", i)
			}
		}
	}
	order := make([]int, 0, len(items))
	done := make(map[string]bool, len(items))
	for len(order) < len(items) {
		i := ready(items, done)
		if i < 0 {
			return nil, bad("requests", "requests depend on each other in a circle")
		}
		done[items[i].ID] = true
		order = append(order, i)
	}
	return order, nil
}

// ready is the first request that is not done and waits for none, or -1.
func ready(items []item, done map[string]bool) int {
next:
	for i, it := range items {
		if done[it.ID] {
			continue
		}
		for _, d := range it.DependsOn {
			if !done[d] {
				continue next
			}
		}
		return i
	}
	return -1
}

func (a *API) serveItem(c *call, it *item, failed map[string]bool) itemAnswer {
	sub := &call{
		Context: c.Context, caller: c.caller, trace: c.trace, now: a.front.Now(),
		version: c.version, base: c.base, method: strings.ToUpper(it.Method), batched: true,
		decode: func(into any) error { return it.decode(into) },
	}
	var ans answer
	if err := it.prepare(sub, failed); err != nil {
		ans = a.fail(sub, err)
	} else {
		ans = a.serve(sub)
	}
	out := itemAnswer{ID: it.ID, Status: ans.status, Headers: ans.header, Body: ans.body}
	if ans.body != nil {
		out.Headers = map[string]string{"Content-Type": "application/json"}
		maps.Copy(out.Headers, ans.header)
	}
	return out
}

// prepare finds the route of a request unless one that it depends on failed.
func (it *item) prepare(sub *call, failed map[string]bool) error {
	for _, d := range it.DependsOn {
		if failed[d] {
			return &problem{
				status: http.StatusFailedDependency, code: codeFailedBefore, detail: messages.ErrBadRequest.Code,
				text: "A request that this one depends on has failed.",
			}
		}
	}
	if it.Method == "" {
		return bad("method", "is required")
	}
	u, err := url.Parse(it.URL)
	if err != nil || u.IsAbs() || u.Host != "" || it.URL == "" {
		return bad("url", "want an address relative to the version, such as /me/presence")
	}
	sub.query = u.Query()
	sub.name, sub.id = resolve(u.Path)
	return nil
}

func (it *item) decode(into any) error {
	for name, value := range it.Headers {
		if strings.EqualFold(name, "Content-Type") && !isJSON(value) {
			return front.ErrEncoding
		}
	}
	if len(it.Body) == 0 || string(it.Body) == "null" {
		return nil
	}
	return front.Decode(it.Body, into)
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}
