package observe

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/trenza-router/trenza/router/store"
)

// All names of metrics stand in this file. Labels are bounded: 7 links, some 500 devices, the catalogue's applications.
const (
	metricLinkBytes    = "trenza_link_bytes_total"
	metricLinkPackets  = "trenza_link_packets_total"
	metricLinkFlows    = "trenza_link_flows"
	metricLinkNewFlows = "trenza_link_new_flows_total"
	metricDeviceBytes  = "trenza_device_bytes_total"
	metricAppBytes     = "trenza_app_bytes_total"
	metricFlows        = "trenza_flows"
	metricTracked      = "trenza_tracked_connections"
	metricLost         = "trenza_conntrack_events_lost_total"
	metricWarning      = "trenza_warning"
	metricShapedRate   = "trenza_link_shaped_bits_per_second"
	metricClassBytes   = "trenza_class_bytes_total"
	metricClassDropped = "trenza_class_dropped_packets_total"
	metricClassWaiting = "trenza_class_waiting_bytes"
)

// metrics reads the collector's sums when somebody scrapes, so that no number is kept twice.
type metrics struct {
	collector *Collector
	health    *Health

	linkBytes, linkPackets, linkFlows, linkNewFlows *prometheus.Desc
	deviceBytes, appBytes                           *prometheus.Desc
	flows, tracked, lost, warning                   *prometheus.Desc
}

// NewMetrics returns the Prometheus collector for registration. health may be nil.
func NewMetrics(c *Collector, health *Health) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &metrics{collector: c, health: health,
		linkBytes:    desc(metricLinkBytes, "Bytes of IP packets carried by a WAN link since the start.", "link", "direction"),
		linkPackets:  desc(metricLinkPackets, "Packets carried by a WAN link since the start.", "link", "direction"),
		linkFlows:    desc(metricLinkFlows, "Flows running over a WAN link.", "link"),
		linkNewFlows: desc(metricLinkNewFlows, "Flows that began on a WAN link since the start.", "link"),
		deviceBytes:  desc(metricDeviceBytes, "Bytes that a LAN device exchanged with the internet since the start.", "device", "direction"),
		appBytes:     desc(metricAppBytes, "Bytes of an application since the start.", "app", "direction"),
		flows:        desc(metricFlows, "Flows running to the internet."),
		tracked:      desc(metricTracked, "Connections that are followed, those inside the house and lately ended ones included."),
		lost:         desc(metricLost, "Times that the kernel dropped announcements of ended connections."),
		warning:      desc(metricWarning, "1 for each warning that holds.", "code", "subject", "severity"),
	}
}

func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.linkBytes, m.linkPackets, m.linkFlows, m.linkNewFlows, m.deviceBytes, m.appBytes, m.flows, m.tracked, m.lost, m.warning} {
		ch <- d
	}
}

func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := m.collector.Snapshot()
	links := map[string]LinkActivity{} // two links never share a name, but a broken configuration must not stop a scrape
	for _, l := range s.Links {
		links[l.Name] = l
	}
	for name, l := range links {
		counter(m.linkBytes, l.Total.Up, name, "up")
		counter(m.linkBytes, l.Total.Down, name, "down")
		counter(m.linkPackets, l.Total.PacketsUp, name, "up")
		counter(m.linkPackets, l.Total.PacketsDown, name, "down")
		counter(m.linkNewFlows, l.Total.Flows, name)
		gauge(m.linkFlows, float64(l.Flows), name)
	}
	devices, apps, tracked, lost := m.collector.sums()
	for name, t := range devices {
		counter(m.deviceBytes, t.Up, name, "up")
		counter(m.deviceBytes, t.Down, name, "down")
	}
	for name, t := range apps {
		counter(m.appBytes, t.Up, name, "up")
		counter(m.appBytes, t.Down, name, "down")
	}
	gauge(m.flows, float64(s.Flows))
	gauge(m.tracked, float64(tracked))
	counter(m.lost, lost)
	if m.health == nil {
		return
	}
	for _, w := range m.health.List() {
		gauge(m.warning, 1, w.Code, w.Subject, w.Severity.String())
	}
}

// sums copies what the metrics need.
func (c *Collector) sums() (devices, apps map[string]store.Traffic, tracked int, lost uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	devices, apps = make(map[string]store.Traffic, len(c.totals.devices)), make(map[string]store.Traffic, len(c.totals.apps))
	for k, v := range c.totals.devices {
		devices[k] = v
	}
	for k, v := range c.totals.apps {
		apps[k] = v
	}
	return devices, apps, len(c.track.conns), c.lost
}
