package front

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestDecodeTakesJSON(t *testing.T) {
	for name, text := range map[string]string{
		"scalar":               `1`,
		"space around":         " \t\r\n{} \n",
		"all kinds":            `{"a":[1,-0,1.5e+10,true,false,null,"x"],"b":{}}`,
		"escapes":              `"\"\\\/\b\f\n\r\té😀"`,
		"same name one deeper": `{"a":{"a":{"a":1}}}`,
		"depth":                strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		"values":               "[" + strings.Repeat("1,", MaxValues-2) + "1]",
		"number":               strings.Repeat("9", MaxNumber),
		"many names":           object(500, func(i int) string { return fmt.Sprint("n", i) }),
	} {
		t.Run(name, func(t *testing.T) {
			var v any
			if err := Decode([]byte(text), &v); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  ``,
		"two values":               `{} {}`,
		"rubbish behind":           `{}x`,
		"half a word":              `tru`,
		"comma at the end":         `[1,]`,
		"comma missing":            `[1 2]`,
		"colon missing":            `{"a" 1}`,
		"name missing":             `{1:2}`,
		"open object":              `{"a":1`,
		"open string":              `"abc`,
		"open escape":              `"abc\`,
		"unknown escape":           `"\x"`,
		"short escape":             `"\u12"`,
		"escape of no digits":      `"\u12g4"`,
		"half a surrogate pair":    `"\ud83d"`,
		"surrogates the wrong way": `"\ude00\ud83d"`,
		"control character":        "\"a\nb\"",
		"control behind an escape": "\"\\n\x01\"",
		"leading zero":             `01`,
		"plus":                     `+1`,
		"lone minus":               `-`,
		"open fraction":            `1.`,
		"open exponent":            `1e`,
		"not UTF-8":                "\"\xff\"",
		"name twice":               `{"a":1,"a":2}`,
		"name twice by case":       `{"token":1,"TOKEN":2}`,
		"name twice by escape":     `{"a":1,"\u0061":2}`,
		"name twice by folding":    `{"key":1,"` + "\u212a" + `ey":2}`,
		"name twice among many":    object(500, func(i int) string { return fmt.Sprint("n", i%499) }),
		"by case among many":       object(40, func(i int) string { return [...]string{fmt.Sprint("n", i), "N0"}[i/39] }),
		"too deep":                 strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
		"too many values":          "[" + strings.Repeat("1,", MaxValues-1) + "1]",
		"number too long":          strings.Repeat("9", MaxNumber+1),
	} {
		t.Run(name, func(t *testing.T) {
			var v any
			if err := Decode([]byte(text), &v); !errors.Is(err, ErrBadJSON) {
				t.Errorf("answered %v", err)
			}
		})
	}
}

func object(n int, name func(int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf("%q:1", name(i))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestDecodeNamesTheField(t *testing.T) {
	var v struct {
		Entries []struct {
			Start int `json:"start"`
		} `json:"entries"`
	}
	err := Decode([]byte(`{"entries":[{"start":"SECRET"}]}`), &v)
	if err == nil || !strings.Contains(err.Error(), `"entries.start"`) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %q", err)
	}
}

func TestDecodeStrictNamesTheUnknownField(t *testing.T) {
	var v struct{ A int }
	if err := DecodeStrict([]byte(`{"A":1}`), &v); err != nil || v.A != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if err := DecodeStrict([]byte(`{"A":1,"privacyMod":true}`), &v); err == nil || !strings.Contains(err.Error(), `"privacyMod"`) {
		t.Errorf("error %q", err)
	}
	if err := DecodeStrict([]byte(`{"A":"x"}`), &v); !errors.Is(err, ErrBadJSON) {
		t.Errorf("error %v", err)
	}
	if err := DecodeStrict([]byte(`{"A":1,"A":2}`), &v); !errors.Is(err, ErrBadJSON) {
		t.Errorf("error %v", err)
	}
}

// Names as the decoder reads them: a text that passes is JSON, and what the
// decoder makes of it, written again, passes too.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"type":"publish","source":"note","note":"é\n"}`, `[1,-2.5e3,null,true]`, `{"a":{"A":1}}`, `"😀"`,
		`{"entries":[{"kind":"meeting","start":"2026-11-22T09:00:00Z"}]}`, "\"\xff\"", `{"a":1,"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		err := Decode(b, &v)
		if err != nil {
			if !errors.Is(err, ErrBadJSON) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q passed and is not JSON", b)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > 0 && !longNumber(again) && Decode(again, &v) != nil {
			t.Fatalf("%q passed, %q does not", b, again)
		}
	})
}

// longNumber: writing a float may take more digits than reading allows.
func longNumber(b []byte) bool {
	run := 0
	for _, c := range b {
		if c >= '0' && c <= '9' || strings.ContainsRune("+-.eE", rune(c)) {
			if run++; run > MaxNumber {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

func BenchmarkDecodePublish(b *testing.B) {
	text := []byte(`{"type":"publish","id":17,"source":"client","availability":"Busy","activity":"InACall"}`)
	b.ReportAllocs()
	for b.Loop() {
		var s struct {
			Type string `json:"type"`
			ID   uint64 `json:"id"`
			Source
		}
		if err := Decode(text, &s); err != nil {
			b.Fatal(err)
		}
	}
}
