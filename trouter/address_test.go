package trouter_test

import (
	"errors"
	"strings"
	"testing"

	"rollcall/trouter"
)

const (
	base     = "https://gw1.example:8443"
	tenant   = "0f8fad5b-d9cb-469f-a165-70867728950e"
	endpoint = "00112233445566778899aabbccddeeff"
	path     = "/trouter/acme/" + tenant + "/gw-1.eu/" + endpoint
)

var address = trouter.Address{Org: "acme", Tenant: tenant, Node: "gw-1.eu", Endpoint: endpoint}

func TestURLIsBaseThenParts(t *testing.T) {
	for _, b := range []string{base, base + "/", base + "//"} {
		if got, want := address.URL(b), base+path+"/"; got != want {
			t.Errorf("URL(%q) = %q, want %q", b, got, want)
		}
	}
}

func TestParseAcceptsWhatClientsSend(t *testing.T) {
	for name, url := range map[string]string{
		"as it was given":     base + path + "/",
		"no slash at the end": base + path,
		"service appended":    base + path + "/TeamsUnifiedPresenceService",
		"doubled slash":       base + path + "//unifiedPresenceService",
		"slash after service": base + path + "/unifiedPresenceService/",
		"doubled all over":    base + strings.ReplaceAll(path, "/", "//"),
		"escape in service":   base + path + "/a%20b~",
		"upper-case tenant":   strings.Replace(base+path, tenant, strings.ToUpper(tenant), 1),
	} {
		got, err := trouter.ParseURL(url, base)
		if err != nil || got != address {
			t.Errorf("%s: %q gives %+v, %v", name, url, got, err)
		}
	}
}

func TestParseUnderABaseWithAPath(t *testing.T) {
	for _, b := range []string{"https://example/presence", "https://example/presence/"} {
		got, err := trouter.ParseURL(address.URL(b)+"x", b)
		if err != nil || got != address {
			t.Errorf("base %q: %+v, %v", b, got, err)
		}
	}
}

func TestParseRefusesEverythingElse(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(base+path+"/", old, new, 1) }
	for name, url := range map[string]string{
		"empty":                   "",
		"base alone":              base,
		"base and slash":          base + "/",
		"foreign host":            swap("gw1", "gw2"),
		"host that goes on":       swap("8443", "84433"),
		"base as user of another": swap("8443", "8443@evil.example"),
		"other scheme":            swap("https", "http"),
		"space before":            " " + base + path,
		"no trouter":              swap("trouter", "router"),
		"upper-case trouter":      swap("trouter", "Trouter"),
		"no organisation":         swap("/acme", ""),
		"organisation too long":   swap("acme", strings.Repeat("a", 65)),
		"organisation dot dot":    swap("acme", ".."),
		"node dot":                swap("gw-1.eu", "."),
		"escape in organisation":  swap("acme", "ac%6de"),
		"backslash in node":       swap("gw-1.eu", `gw\1`),
		"tenant not a UUID":       swap(tenant, "contoso.example"),
		"tenant without dashes":   swap(tenant, strings.ReplaceAll(tenant, "-", "0")),
		"tenant in braces":        swap(tenant, "{"+tenant+"}"),
		"tenant with bad digit":   swap("0f8f", "0g8f"),
		"endpoint too short":      swap("eeff/", "eef/"),
		"endpoint too long":       swap("eeff/", "eefff/"),
		"upper-case endpoint":     swap("eeff/", "EEFF/"),
		"two services":            base + path + "/a/b",
		"query":                   base + path + "/?x=1",
		"fragment":                base + path + "/#x",
		"bad escape":              base + path + "/a%2",
		"bad escape digits":       base + path + "/a%zz",
		"bad second digit":        base + path + "/a%2z",
		"escaped slash":           base + path + "/a%2fb",
		"escaped backslash":       base + path + "/a%5Cb",
		"escaped NUL":             base + path + "/a%00",
		"escaped DEL":             base + path + "/a%7F",
		"service dot dot":         base + path + "/..",
		"control byte":            base + path + "/a\n",
		"not ASCII":               base + path + "/ä",
		"more than 2 KiB":         base + path + "/" + strings.Repeat("a", 2048),
		"slashes over 2 KiB":      base + path + strings.Repeat("/", 2048),
	} {
		if got, err := trouter.ParseURL(url, base); !errors.Is(err, trouter.ErrAddress) || got != (trouter.Address{}) {
			t.Errorf("%s: %q gives %+v, %v; want ErrAddress", name, url, got, err)
		}
	}
}

func TestLongestURLIsTaken(t *testing.T) {
	url := base + path + "/"
	url += strings.Repeat("a", 2048-len(url))
	if _, err := trouter.ParseURL(url, base); err != nil {
		t.Errorf("2,048 bytes: %v", err)
	}
	if _, err := trouter.ParseURL(url+"a", base); !errors.Is(err, trouter.ErrAddress) {
		t.Errorf("2,049 bytes: %v, want ErrAddress", err)
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add(base+path+"/", base)
	f.Add(base+path+"//TeamsUnifiedPresenceService", base+"/")
	f.Add(base+path+"/a%20b", base)
	f.Add("/trouter/a/b/c/d/", "")
	f.Fuzz(func(t *testing.T, url, base string) {
		a, err := trouter.ParseURL(url, base)
		if err != nil {
			if !errors.Is(err, trouter.ErrAddress) || a != (trouter.Address{}) {
				t.Fatalf("%q: %+v with %v", url, a, err)
			}
			return
		}
		if err := a.Validate(); err != nil {
			t.Fatalf("%q gives %+v, which is not valid: %v", url, a, err)
		}
		if strings.ContainsAny(url[len(strings.TrimRight(base, "/")):], "?#\\\x00\n ") {
			t.Fatalf("%q was accepted", url)
		}
		again, err := trouter.ParseURL(a.URL(base), base)
		if len(a.URL(base)) <= 2048 && (err != nil || again != a) {
			t.Fatalf("%+v does not survive its URL: %+v, %v", a, again, err)
		}
	})
}

func BenchmarkParseURL(b *testing.B) {
	url := address.URL(base) + "/TeamsUnifiedPresenceService"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trouter.ParseURL(url, base); err != nil {
			b.Fatal(err)
		}
	}
}
