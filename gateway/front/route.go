package front

import (
	"net/http"
)

// Route serves a request by mux, but words 404 and 405 as every other error of
// ours.
func Route(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	h, pattern := mux.Handler(r)
	if pattern != "" {
		mux.ServeHTTP(w, r) // sets the path's values
		return
	}
	probe := &refused{header: http.Header{}}
	h.ServeHTTP(probe, r)
	if allow := probe.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		WriteError(w, ErrMethod.With("this address takes "+allow))
		return
	}
	WriteError(w, ErrNotFound)
}

// refused takes what the mux itself answers, for its Allow header.
type refused struct{ header http.Header }

func (w *refused) Header() http.Header         { return w.header }
func (w *refused) Write(b []byte) (int, error) { return len(b), nil }
func (w *refused) WriteHeader(int)             {}
