package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/trenza-router/trenza/hal"
)

func TestHealth(t *testing.T) {
	now := start
	events := NewEvents(nil)
	h := NewHealth(func() time.Time { return now }, events)
	disk := Warning{Code: "disk-full", Severity: Warn, Text: "the disk is full", Fix: "make room"}
	lte := Warning{Code: "link-down", Subject: "lte", Severity: Serious, Text: "lte is down"}
	h.Set(disk)
	now = now.Add(time.Minute)
	h.Set(lte)
	h.Set(Warning{Code: "link-down", Subject: "wifi", Severity: Info, Text: "wifi is down"})
	now = now.Add(time.Minute)
	disk.Text = "the disk is still full"
	h.Put(true, disk)
	h.Clear("link-down", "wifi")
	h.Clear("link-down", "never")
	disk.Since, lte.Since = start, start.Add(time.Minute)
	diff(t, h.List(), []Warning{lte, disk})
	h.Put(false, lte)
	var text []string
	for _, e := range events.List(Info, 10) {
		text = append(text, fmt.Sprint(e.Severity, " ", e.Kind, " ", e.Subject, ": ", e.Text))
	}
	diff(t, text, []string{"info link-down lte: over: lte is down", "info link-down wifi: over: wifi is down", "info link-down wifi: wifi is down",
		"error link-down lte: lte is down", "warning disk-full : the disk is full"})
	for i := range 10_000 {
		h.Set(Warning{Code: fmt.Sprint(i)})
	}
	if n := len(h.List()); n != maxWarnings {
		t.Fatalf("%d warnings", n)
	}
}

func TestEvents(t *testing.T) {
	told := 0
	l := NewEvents(func(Event) { told++ })
	for i := range 2500 {
		l.Add(Event{At: start.Add(time.Duration(i) * time.Second), Kind: "device", Text: fmt.Sprint("device ", i), Severity: Severity(i % 3)})
	}
	list := l.List(Info, 5000)
	if len(list) != keepEvents || list[0].Text != "device 2499" || list[keepEvents-1].Text != "device 1500" || len(l.index) != keepEvents {
		t.Fatalf("%d events from %q to %q, index of %d", len(list), list[0].Text, list[len(list)-1].Text, len(l.index))
	}
	if list := l.List(Serious, 2); len(list) != 2 || list[0].Severity != Serious {
		t.Fatalf("%+v", list)
	}
	diff(t, told, 2500)
	// A repetition counts up, until a minute has passed.
	at := start.Add(time.Hour)
	for _, gap := range []time.Duration{0, 30 * time.Second, 80 * time.Second, 10 * time.Minute} {
		l.Add(Event{At: at.Add(gap), Kind: "heal", Text: "an ip rule was put back"})
	}
	list = l.List(Info, 2)
	diff(t, []any{list[0].Count, list[1].Count, list[1].At, told}, []any{1, 3, at.Add(80 * time.Second), 2502})
}

func TestMetrics(t *testing.T) {
	b := newBench(t)
	b.read()
	b.k.list = []hal.Connection{connection(1, 1, 1000, 10000)}
	b.read()
	h := NewHealth(func() time.Time { return start }, nil)
	h.Set(Warning{Code: "link-down", Subject: "lte", Severity: Serious})
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(NewMetrics(b.Collector, h)); err != nil {
		t.Fatal(err)
	}
	want := `# HELP trenza_link_bytes_total Bytes of IP packets carried by a WAN link since the start.
# TYPE trenza_link_bytes_total counter
trenza_link_bytes_total{direction="down",link="fiber"} 10000
trenza_link_bytes_total{direction="up",link="fiber"} 1000
# HELP trenza_app_bytes_total Bytes of an application since the start.
# TYPE trenza_app_bytes_total counter
trenza_app_bytes_total{app="video",direction="down"} 10000
trenza_app_bytes_total{app="video",direction="up"} 1000
# HELP trenza_flows Flows running to the internet.
# TYPE trenza_flows gauge
trenza_flows 1
# HELP trenza_warning 1 for each warning that holds.
# TYPE trenza_warning gauge
trenza_warning{code="link-down",severity="error",subject="lte"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), metricLinkBytes, metricAppBytes, metricFlows, metricWarning); err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
}

// Names in metrics are bounded, whatever devices come and go.
func TestNamesAreBounded(t *testing.T) {
	b := newBench(t)
	n := 0
	b.read()
	b.opts.Identify = func(hal.Connection) Identity { n++; return Identity{App: fmt.Sprint("app", n)} }
	for i := range 2 * maxNames {
		b.destroy(connection(i, 1, 1, 0))
	}
	b.tick()
	_, apps, _, _ := b.sums()
	if len(apps) > maxNames+1 || apps["other"].Up < maxNames/2 {
		t.Fatalf("%d names, other has %d bytes", len(apps), apps["other"].Up)
	}
}
