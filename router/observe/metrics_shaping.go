package observe

import "github.com/prometheus/client_golang/prometheus"

// ShapedLink is what a shaped link and its classes do, for the metrics. Ways are up and down.
type ShapedLink struct {
	Name    string
	Ways    [2]ShapedWay
	Classes []ShapedClass
}

// ShapedWay is one direction of a link: what it is shaped to, bit/s.
type ShapedWay struct{ Rate uint64 }

// ShapedClass is a class of a device on a link. Device "" is nobody's in particular.
type ShapedClass struct {
	Device, Class string
	Ways          [2]ClassWay
}

// ClassWay is one direction of a class: bytes and dropped packets since it was made, and bytes that wait.
type ClassWay struct{ Bytes, Dropped, Waiting uint64 }

type shapingMetrics struct {
	read                                         func() []ShapedLink
	rate, classBytes, classDropped, classWaiting *prometheus.Desc
}

// NewShapingMetrics returns the Prometheus collector of the traffic shaper. read is called at each scrape.
func NewShapingMetrics(read func() []ShapedLink) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &shapingMetrics{
		read:         read,
		rate:         desc(metricShapedRate, "Bits per second that a link is shaped to.", "link", "direction"),
		classBytes:   desc(metricClassBytes, "Bytes that left a class since it was made.", "link", "device", "class", "direction"),
		classDropped: desc(metricClassDropped, "Packets that a class dropped since it was made.", "link", "device", "class", "direction"),
		classWaiting: desc(metricClassWaiting, "Bytes that wait in a class.", "link", "device", "class", "direction"),
	}
}

func (m *shapingMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.rate, m.classBytes, m.classDropped, m.classWaiting} {
		ch <- d
	}
}

func (m *shapingMetrics) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(v), labels...)
	}
	for _, l := range m.read() {
		for way, direction := range [2]string{"up", "down"} {
			send(m.rate, prometheus.GaugeValue, l.Ways[way].Rate, l.Name, direction)
			for _, c := range l.Classes {
				w := c.Ways[way]
				send(m.classBytes, prometheus.CounterValue, w.Bytes, l.Name, c.Device, c.Class, direction)
				send(m.classDropped, prometheus.CounterValue, w.Dropped, l.Name, c.Device, c.Class, direction)
				send(m.classWaiting, prometheus.GaugeValue, w.Waiting, l.Name, c.Device, c.Class, direction)
			}
		}
	}
}
