package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/loadtest"
	"github.com/trenza-router/trenza/webui/api"
)

// TestLoadTests: what may not be tested is refused with its reason, one test runs at a time and can be stopped, and what a test found out is kept.
func TestLoadTests(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	server := httptest.NewServer(loadtest.Handler())
	defer server.Close()
	s.house.Answer(8088, strings.TrimPrefix(server.URL, "http://"))
	enginetest.Eventually(t, "links that carry traffic", func() bool {
		_, data := s.do(t, http.MethodGet, "/links", "")
		n := 0
		for _, l := range decode[[]api.Link](t, data) {
			if l.Usable {
				n++
			}
		}
		return n == 3
	})
	const far = `"server": "http://198.51.100.80:8088/"`
	for _, c := range []struct {
		method, body string
		code         int
		says         string
	}{
		{http.MethodPost, `{"link": "dsl", ` + far + `}`, 400, "no link"},
		{http.MethodPost, `{"link": "fiber", "server": "ftp://198.51.100.80/x"}`, 400, "http://"},
		{http.MethodPost, `{"link": "fiber", "server": "nothing"}`, 400, "http://"},
		{http.MethodPost, `{"link": "fiber", "server": "http://[::1/"}`, 400, "http://"},
		{http.MethodPost, `{"link": "fiber", ` + far + `, "upload": "mailto:x"}`, 400, "http://"},
		{http.MethodPost, `{"link": "fiber", ` + far + `, "seconds": 3600}`, 400, "seconds"},
		{http.MethodPost, `{"link": "lte", ` + far + `}`, 409, "that of lte costs or is limited"},
		{http.MethodDelete, "", 404, "no test runs"},
	} {
		if code, data := s.do(t, c.method, "/qos/tests", c.body); code != c.code || !strings.Contains(string(data), c.says) {
			t.Errorf("%s %s: %d %s; want %d and %q", c.method, c.body, code, data, c.code, c.says)
		}
	}
	ended := func() api.LoadTest {
		for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			_, data := s.do(t, http.MethodGet, "/qos/tests", "")
			if all := decode[api.LoadTests](t, data); all.Now == nil {
				return all.Past[0]
			}
		}
		t.Fatal("the test does not end")
		return api.LoadTest{}
	}
	if code, data := s.do(t, http.MethodPost, "/qos/tests", `{"link": "lte", `+far+`, "costs": true, "seconds": 60}`); code != 202 {
		t.Fatalf("%d %s", code, data)
	}
	if code, data := s.do(t, http.MethodPost, "/qos/tests", `{"link": "fiber", `+far+`}`); code != 409 || !strings.Contains(string(data), "another test") {
		t.Errorf("a second test: %d %s", code, data)
	}
	if code, data := s.do(t, http.MethodDelete, "/qos/tests", ""); code != 204 {
		t.Errorf("%d %s", code, data)
	}
	if got := ended(); got.State != api.LoadTestStateStopped || got.Link != "lte" || got.Grade != "" {
		t.Errorf("stopped: %+v", got)
	}
	if code, data := s.do(t, http.MethodPost, "/qos/tests", `{"link": "fiber", "server": "http://127.0.0.1:8088/"}`); code != 202 {
		t.Fatalf("%d %s", code, data)
	}
	if got := ended(); got.State != api.LoadTestStateFailed || got.Problem == nil || !strings.Contains(*got.Problem, "not a server on the internet") {
		t.Errorf("the machine itself: %+v", got)
	}
	if code, data := s.do(t, http.MethodPost, "/qos/tests", `{"link": "fiber", "server": "http://me:secret@198.51.100.80:8088/", "seconds": 2}`); code != 202 || strings.Contains(string(data), "secret") {
		t.Fatalf("%d %s", code, data)
	}
	got := ended()
	if got.State != api.LoadTestStateDone || got.Grade != "A+" || got.Idle.MedianMs != 7 || got.Down.Pings == 0 || got.Up.Pings == 0 || len(got.Points) == 0 {
		t.Errorf("done: %+v", got)
	}
	stored, err := s.house.Store.Setting(t.Context(), "qos/tests")
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && (err != nil || !strings.Contains(string(stored), `"A+"`)); stored, err = s.house.Store.Setting(t.Context(), "qos/tests") {
		time.Sleep(10 * time.Millisecond) // what is told of a test is stored a moment later
	}
	if err != nil || !strings.Contains(string(stored), `"A+"`) || strings.Contains(string(stored), "secret") {
		t.Errorf("stored: %v %s", err, stored)
	}
}
