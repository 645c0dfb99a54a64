package front

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDecodeJSON(t *testing.T) {
	full := `{"note":"` + strings.Repeat("x", MaxBody-11) + `"}`
	for name, tt := range map[string]struct {
		kind, encoding, body string
		code                 string
	}{
		"plain":                     {"application/json", "", `{"note":"x"}`, ""},
		"with a charset":            {"application/json; charset=utf-8", "", `{"note":"x"}`, ""},
		"of a kind of JSON":         {"application/merge-patch+json", "", `{"note":"x"}`, ""},
		"without a type":            {"", "identity", `{"note":"x"}`, ""},
		"gzip":                      {"", "gzip", packed(`{"note":"x"}`), ""},
		"as large as may be":        {"", "", full, ""},
		"as large as may be packed": {"", "gzip", packed(full), ""},
		"one byte too large":        {"", "", full + " ", "too_large"},
		"one byte too large packed": {"", "gzip", packed(full + " "), "too_large"},
		"a bomb":                    {"", "gzip", packed(strings.Repeat(" ", 4<<20)), "too_large"},
		"empty":                     {"", "", "", "bad_json"},
		"a form":                    {"application/x-www-form-urlencoded", "", "a=b", "unsupported_encoding"},
		"a broken type":             {"application/", "", `{}`, "unsupported_encoding"},
		"an unknown encoding":       {"", "br", `{}`, "unsupported_encoding"},
		"no gzip":                   {"", "gzip", `{}`, "bad_json"},
		"cut gzip":                  {"", "gzip", packed(`{"note":"x"}`)[:20], "bad_json"},
		"no JSON":                   {"", "", `{`, "bad_json"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.kind)
			r.Header.Set("Content-Encoding", tt.encoding)
			var s Source
			err := DecodeJSON(httptest.NewRecorder(), r, &s)
			switch {
			case tt.code == "" && (err != nil || !strings.HasPrefix(s.Note, "x")):
				t.Errorf("read %d bytes of note, error %v", len(s.Note), err)
			case tt.code != "" && (err == nil || Refusal(err).Code != tt.code):
				t.Errorf("answered %v, want %s", err, tt.code)
			}
		})
	}
}

func TestDecodeOptionalTakesNothing(t *testing.T) {
	s := Source{Note: "kept"}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	if err := DecodeOptional(httptest.NewRecorder(), r, &s); err != nil || s.Note != "kept" {
		t.Errorf("%+v, %v", s, err)
	}
}

func packed(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.String()
}
