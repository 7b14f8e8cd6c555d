package gate

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"coffer/vault/protocol"
)

// metrics counts, in a registry of its own. No label comes from a request: kinds, codes and
// limits are ours, and there are few of them.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	limits      *prometheus.CounterVec
	charged     prometheus.Counter
	destroyed   *prometheus.CounterVec
	admissions  prometheus.Counter
	unopened    prometheus.Counter
	panics      prometheus.Counter
	connections prometheus.Gauge
}

const namespace = "coffer_vault"

func newMetrics(g *Gate) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: vector("requests_total", "Requests, by kind and by code of the answer.", "kind", "code"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "request_seconds", Help: "Time from the header to the end of the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"kind"}),
		limits:      vector("limited_total", "Requests and connections that were refused, by limit.", "limit"),
		charged:     counter("tries_total", "Tries that were charged and answered."),
		destroyed:   vector("destroyed_total", "Finishes and acts of owners that were answered: destroyed.", "by"),
		admissions:  counter("admissions_total", "Tickets given."),
		unopened:    counter("envelopes_unopened_total", "Envelopes for a key of the vault that did not open."),
		panics:      counter("panics_total", "Handlers that panicked."),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "connections", Help: "Open connections."}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.limits, m.charged, m.destroyed, m.admissions, m.unopened, m.panics,
		m.connections, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(gauges(g)...)
	for _, limit := range []string{"address", "record", "requests", "body", "connections", "address-connections"} {
		m.limits.WithLabelValues(limit) // an alarm needs the zero, too
	}
	for _, by := range []string{"owner", "try"} {
		m.destroyed.WithLabelValues(by)
	}
	return m
}

// gauges are what is asked for when somebody looks.
func gauges(g *Gate) []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1; the labels say of what.",
		ConstLabels: prometheus.Labels{"version": g.cfg.Version, "go": runtime.Version()},
	})
	build.Set(1)
	all := []prometheus.Collector{build, gauge("ready", "1 when the vault can answer.", func() float64 {
		if g.isReady(context.Background()) != nil {
			return 0
		}
		return 1
	})}
	if g.cfg.BundleState == nil {
		return all
	}
	return append(all,
		gauge("bundle_sequence", "Sequence of the bundle.", func() float64 {
			sequence, _ := g.cfg.BundleState()
			return float64(sequence)
		}),
		gauge("bundle_expires_timestamp_seconds", "When the bundle expires, in unix time.", func() float64 {
			_, expires := g.cfg.BundleState()
			return float64(expires.Unix())
		}),
	)
}

// Metrics returns the handler for Prometheus. It belongs on another listener than
// [Gate.Handler]: how many people are locked out is nobody else's business.
func (g *Gate) Metrics() http.Handler {
	return promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func (m *metrics) limited(limit string) { m.limits.WithLabelValues(limit).Inc() }

func (m *metrics) request(done outcome, code string, took time.Duration) {
	m.requests.WithLabelValues(done.kind, code).Inc()
	m.seconds.WithLabelValues(done.kind).Observe(took.Seconds())
	switch done.kind {
	case kindName(protocol.KindAttempt), kindName(protocol.KindExpose):
		if done.err == nil {
			m.charged.Inc()
		}
	case kindName(protocol.KindFinish):
		if errors.Is(done.err, protocol.ErrDestroyed) {
			m.destroyed.WithLabelValues("try").Inc()
		}
	case kindName(protocol.KindDestroy):
		if done.err == nil {
			m.destroyed.WithLabelValues("owner").Inc()
		}
	case kindName(protocol.KindAdmit):
		if done.err == nil {
			m.admissions.Inc()
		}
	}
}
