package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

type batchAnswer struct {
	Responses []struct {
		ID      string            `json:"id"`
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	} `json:"responses"`
}

// batch sends one and gives the statuses in the order of the answers.
func (c caller) batch(t testing.TB, requests string) (batchAnswer, []int) {
	t.Helper()
	r := c.post("/v1.0/$batch", `{"requests":[`+requests+`]}`)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	b := decoded[batchAnswer](t, r)
	statuses := make([]int, len(b.Responses))
	for i, x := range b.Responses {
		statuses[i] = x.Status
	}
	return b, statuses
}

func TestBatch(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	b, statuses := alice.batch(t, `
		{"id":"read","method":"GET","url":"/me/presence","dependsOn":["write"]},
		{"id":"write","method":"post","url":"me/presence/setPresence","headers":{"content-type":"application/json"},"body":`+busy+`},
		{"id":"photo","method":"GET","url":"/me/photo/$value"},
		{"id":"many","method":"POST","url":"/communications/getPresencesByUserId","body":{"ids":["`+alice.user+`"]}},
		{"id":"place","method":"POST","url":"/me/presence/clearLocation"},
		{"id":"profile","method":"GET","url":"/users/`+alice.user+`?$select=id"}`)
	if want := []int{200, 200, 404, 200, 204, 200}; !slices.Equal(statuses, want) {
		t.Fatalf("%v, want %v", statuses, want)
	}
	var p graphPresence
	if err := json.Unmarshal(b.Responses[0].Body, &p); err != nil || p.pair() != "Busy/InACall" {
		t.Errorf("what was read behind the write is %s (%v)", p.pair(), err)
	}
	if !strings.HasPrefix(p.Context, base+"/v1.0/") {
		t.Errorf("context %s", p.Context)
	}
	for i, x := range b.Responses {
		empty := x.ID == "write" || x.ID == "place"
		if (x.Body == nil) != empty || (x.Headers["Content-Type"] == "") != empty {
			t.Errorf("answer %d: body %s, headers %v", i, x.Body, x.Headers)
		}
	}
	var e graphError
	if err := json.Unmarshal(b.Responses[2].Body, &e); err != nil || e.Error.Code != "ImageNotFound" {
		t.Errorf("an error in a batch: %s", b.Responses[2].Body)
	}
}

func TestBatchStopsBehindAFailure(t *testing.T) {
	w := start(t)
	b, statuses := w.user("alice").batch(t, `
		{"id":"1","method":"POST","url":"/me/presence/clearPresence","body":{"sessionId":"none"}},
		{"id":"2","method":"GET","url":"/me/presence","dependsOn":["1"]},
		{"id":"3","method":"GET","url":"/me/presence","dependsOn":["2"]},
		{"id":"4","method":"GET","url":"/me/presence"}`)
	if want := []int{404, 424, 424, 200}; !slices.Equal(statuses, want) {
		t.Fatalf("%v, want %v", statuses, want)
	}
	if !strings.Contains(string(b.Responses[1].Body), "FailedDependency") {
		t.Errorf("%s", b.Responses[1].Body)
	}
}

func TestBatchEntriesFailByThemselves(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"a batch in a batch":      {`"method":"POST","url":"/$batch","body":{"requests":[{"id":"1","method":"GET","url":"/me"}]}`, 400},
		"a whole address":         {`"method":"GET","url":"https://graph.microsoft.com/v1.0/me/presence"`, 400},
		"an address with a host":  {`"method":"GET","url":"//elsewhere/me/presence"`, 400},
		"no address":              {`"method":"GET"`, 400},
		"a broken address":        {`"method":"GET","url":"/me/%zz"`, 400},
		"no method":               {`"url":"/me/presence"`, 400},
		"another method":          {`"method":"DELETE","url":"/me/presence"`, 405},
		"no such path":            {`"method":"GET","url":"/me/manager?$expand=x"`, 404},
		"a version in the path":   {`"method":"GET","url":"/v1.0/me/presence"`, 404},
		"a body that is no JSON":  {`"method":"POST","url":"/me/presence/setPresence","headers":{"Content-Type":"text/plain"},"body":"x"`, 415},
		"a body of another shape": {`"method":"POST","url":"/me/presence/setPresence","body":"x"`, 400},
		"another user":            {`"method":"POST","url":"/users/` + person(t, "bob").ID + `/presence/clearLocation"`, 401},
		"no body where needed":    {`"method":"POST","url":"/me/presence/setPresence","body":null`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			b, statuses := alice.batch(t, `{"id":"a",`+tt.request+`},{"id":"b","method":"GET","url":"/me/presence"}`)
			if !slices.Equal(statuses, []int{tt.status, 200}) {
				t.Fatalf("%v %s, want %d and 200", statuses, b.Responses[0].Body, tt.status)
			}
		})
	}
}

func TestBatchesThatAreRefused(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	get := func(id, depends string) string {
		return fmt.Sprintf(`{"id":%q,"method":"GET","url":"/me/presence","dependsOn":[%s]}`, id, depends)
	}
	var many []string
	for i := range 21 {
		many = append(many, get(fmt.Sprint(i), ""))
	}
	if _, statuses := alice.batch(t, strings.Join(many[:20], ",")); len(statuses) != 20 {
		t.Fatalf("%d answers to 20 requests", len(statuses))
	}
	for name, body := range map[string]string{
		"21 requests":           `{"requests":[` + strings.Join(many, ",") + `]}`,
		"none":                  `{"requests":[]}`,
		"no list":               `{}`,
		"no body":               ``,
		"no id":                 `{"requests":[{"method":"GET","url":"/me"}]}`,
		"an id twice":           `{"requests":[` + get("1", "") + "," + get("1", "") + `]}`,
		"a number for an id":    `{"requests":[{"id":1,"method":"GET","url":"/me"}]}`,
		"depends on nothing":    `{"requests":[` + get("1", `"2"`) + `]}`,
		"depends on itself":     `{"requests":[` + get("1", `"1"`) + `]}`,
		"depends in a circle":   `{"requests":[` + get("1", `"2"`) + "," + get("2", `"3"`) + "," + get("3", `"1"`) + `]}`,
		"requests is an object": `{"requests":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, alice.post("/v1.0/$batch", body), http.StatusBadRequest, "BadRequest", "requests")
		})
	}
}

// TestBatchIsThrottledByItsRequests: what is in a batch counts one by one.
func TestBatchIsThrottledByItsRequests(t *testing.T) {
	w := start(t)
	alice := w.user("alice")
	var twenty []string
	for i := range 20 {
		twenty = append(twenty, fmt.Sprintf(`{"id":"%d","method":"GET","url":"/me/presence"}`, i))
	}
	for range 75 {
		alice.batch(t, strings.Join(twenty, ","))
	}
	b, statuses := alice.batch(t, twenty[0])
	if statuses[0] != http.StatusTooManyRequests || b.Responses[0].Headers["Retry-After"] == "" {
		t.Fatalf("request 1501: %+v", b)
	}
	w.pass(time.Minute)
	if _, statuses := alice.batch(t, twenty[0]); statuses[0] != http.StatusOK {
		t.Fatalf("a minute later: %v", statuses)
	}
}
