package front

import "github.com/prometheus/client_golang/prometheus"

type counts struct {
	requests, tokens    *prometheus.CounterVec
	panics, enumeration prometheus.Counter
}

func newCounts(r prometheus.Registerer) *counts {
	m := &counts{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "rollcall", Name: "http_requests_total", Help: "HTTP requests by class of status.",
		}, []string{"class"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "rollcall", Name: "tokens_refused_total", Help: "Tokens refused, by code.",
		}, []string{"code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "rollcall", Name: "http_panics_total", Help: "Requests that ended in a panic: bugs.",
		}),
		enumeration: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "rollcall", Name: "enumeration_refused_total", Help: "Requests for too many different users.",
		}),
	}
	r.MustRegister(m.requests, m.tokens, m.panics, m.enumeration)
	return m
}
