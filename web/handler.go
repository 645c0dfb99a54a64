package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var files embed.FS

// policy lets the page load its own files, talk to its own node (the socket
// included) and nothing else. Text reaches the document as text only: without a
// trusted-types policy no script can turn a string into markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// asset is one file, ready to be sent. etag changes with the content alone, so
// a browser keeps its copy over restarts of the node.
type asset struct {
	body []byte
	kind string
	etag string
}

// Handler serves the page at / and its files below /assets/. Everything else is
// 404, a method other than GET and HEAD is 405. Browsers must ask again each
// time (no-cache) and are answered 304 while the file is the same.
func Handler() http.Handler {
	assets := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		a, ok := assets[r.URL.Path]
		switch {
		case !ok:
			http.Error(w, "404 there is no such page", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405 this page can only be read", http.StatusMethodNotAllowed)
		default:
			w.Header().Set("Content-Type", a.kind)
			w.Header().Set("ETag", a.etag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
		}
	})
}

func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
}

// The types are named here: what the machine's own table says must not change
// what browsers get.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// load reads the embedded files by the path of their URL.
func load() map[string]asset {
	assets := map[string]asset{}
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		a := asset{body: body, kind: kindOf(name), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		if name == "assets/index.html" {
			assets["/"] = a
			return nil
		}
		assets["/"+name] = a
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("web: the embedded files cannot be read: %v", err)) // a broken build, not an input
	}
	return assets
}

func kindOf(name string) string {
	if kind, ok := kinds[path.Ext(name)]; ok {
		return kind
	}
	return mime.TypeByExtension(path.Ext(name))
}
