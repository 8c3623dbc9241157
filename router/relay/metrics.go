package relay

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveMetrics answers with what the relay's counters say now. No name in it is a secret or an address.
func (r *Relay) serveMetrics(w http.ResponseWriter, q *http.Request) {
	s, err := r.Status(q.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(snapshot{s})
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, q)
}

// snapshot is a status as metrics.
type snapshot struct{ s Status }

// Describe implements prometheus.Collector: the routers are known when they are asked for.
func (snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c snapshot) Collect(out chan<- prometheus.Metric) {
	send := func(name, help string, kind prometheus.ValueType, v float64, labels ...string) {
		var names, values []string
		for i := 0; i < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("trenza_relay_"+name, help, names, nil), kind, v, values...)
	}
	send("datagrams_received_total", "Datagrams that arrived.", prometheus.CounterValue, float64(c.s.Strange.Received))
	send("datagrams_refused_total", "Datagrams of strangers, broken or repeated ones.", prometheus.CounterValue, float64(c.s.Strange.Refused))
	send("invites_open", "Invites that nobody has used yet.", prometheus.GaugeValue, float64(len(c.s.Invites)))
	for _, r := range c.s.Routers {
		joined := 0.0
		if r.Bond.Joined {
			joined = 1
		}
		send("router_connected", "Whether the router has a session.", prometheus.GaugeValue, joined, "router", r.Name)
		for direction, v := range map[string]uint64{"down": r.Traffic.DownBytes, "up": r.Traffic.UpBytes} {
			send("router_bytes_total", "Bytes of packets carried for the router.", prometheus.CounterValue, float64(v), "router", r.Name, "direction", direction)
		}
		send("router_limited_packets_total", "Packets above the router's limit.", prometheus.CounterValue, float64(r.Traffic.Limited), "router", r.Name)
		send("router_forged_packets_total", "Packets with an address that is not the router's.", prometheus.CounterValue, float64(r.Traffic.Forged), "router", r.Name)
		for _, p := range r.Bond.Paths {
			id := string(rune('0' + p.ID))
			up := 0.0
			if p.Up {
				up = 1
			}
			send("path_up", "Whether packets go over the path.", prometheus.GaugeValue, up, "router", r.Name, "path", id)
			send("path_rate_bits", "What the path is thought to carry towards the router, in bits a second.", prometheus.GaugeValue, p.Rate, "router", r.Name, "path", id)
			send("path_round_trip_seconds", "Smoothed round trip.", prometheus.GaugeValue, p.Round/1000, "router", r.Name, "path", id)
			send("path_sent_bytes_total", "Bytes sent, with headers.", prometheus.CounterValue, float64(p.Sent), "router", r.Name, "path", id)
			send("path_received_bytes_total", "Bytes received, with headers.", prometheus.CounterValue, float64(p.Received), "router", r.Name, "path", id)
		}
	}
}
