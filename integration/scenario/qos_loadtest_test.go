package scenario

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/loadtest"
	"github.com/trenza-router/trenza/webui/api"
)

// TestLoadTest: "trenza qos test" fills the link that it is told to, sees the queue that the link's buffer makes of it, and draws it.
func TestLoadTest(t *testing.T) {
	h := newHouse(t, overFiber(""), fullLink("off"))
	h.fairTCP(t)
	listener, err := h.Lab.Internet().Listen(t.Context(), "tcp", plainServer.String()+":8088")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: loadtest.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })

	ctx, cancel := context.WithTimeout(t.Context(), paced(3*time.Minute))
	defer cancel()
	picture := filepath.Join(t.TempDir(), "fiber.svg")
	command := exec.CommandContext(ctx, binary, "--json", "--socket", h.Socket(), "qos", "test", "http://"+plainServer.String()+":8088/", "--link", "fiber", "--seconds", "6", "--svg", picture)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var tests []api.LoadTest
	if err := json.Unmarshal(out, &tests); err != nil || len(tests) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	r := tests[0]
	t.Logf("grade %s by %s: idle %+v, down %+v, up %+v", r.Grade, r.Probes, r.Idle, r.Down, r.Up)
	// A megabyte takes 160 ms to leave at 50 Mbit/s and 800 ms at 10: nobody shapes this link.
	for _, p := range []struct {
		name  string
		phase api.LoadPhase
		rate  float64
	}{{"down", r.Down, load(50e6)}, {"up", r.Up, load(10e6)}} {
		if float64(p.phase.Rate) < p.rate/8 || float64(p.phase.Rate) > p.rate*1.5 {
			t.Errorf("%s: %d bit/s through a link of %.0f", p.name, p.phase.Rate, p.rate)
		}
		if p.phase.Pings == 0 {
			t.Errorf("%s: no ping was answered", p.name)
		}
	}
	if added := r.Up.P95Ms - r.Idle.MedianMs; added < 20 {
		t.Errorf("a full buffer of a megabyte adds %.0f ms: the test measures nothing", added)
	}
	if svg, err := os.ReadFile(picture); err != nil || !strings.Contains(string(svg), "grade "+r.Grade) {
		t.Errorf("the picture: %v %s", err, svg)
	}
}
