package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/router/support"
	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/auth"
)

// site is the interface of a running router, with its specification.
type site struct {
	*httptest.Server
	house  *enginetest.House
	spec   *openapi3.T
	closed chan struct{} // closing it ends live streams
	auth   *auth.Service

	backups  *backup.Keeper
	restarts atomic.Int32 // that backups asked for
	recent   *support.Recent
	file     string // the configuration, for backups
}

// planted stands wherever this router has a secret; configured is its configuration as far as backups go.
const (
	planted    = "planted-secret-9871"
	configured = "lan: [{device: lan0}]\nlinks: [{name: lte, hardware: {kind: modem, apn: visible, password: " + planted + "}}]\n"
)

func start(t *testing.T, rules string, change func(*config.Config)) *site {
	t.Helper()
	s := &site{house: enginetest.Start(t, rules, change), closed: make(chan struct{})}
	e := echo.New()
	e.HTTPErrorHandler = api.HandleError(slog.New(slog.DiscardHandler))
	log := slog.New(slog.DiscardHandler)
	var err error
	if s.auth, err = auth.New(t.Context(), auth.Options{Store: s.house.Store, Log: log}); err != nil {
		t.Fatal(err)
	}
	s.file = filepath.Join(t.TempDir(), "trenza.yaml")
	if err := os.WriteFile(s.file, []byte(configured), 0o600); err != nil {
		t.Fatal(err)
	}
	s.backups = backup.New(backup.Options{
		Store: s.house.Store, State: t.TempDir(), Config: s.file, Version: "test", Log: log, Now: time.Now, Restart: func() { s.restarts.Add(1) },
	})
	s.recent = support.NewRecent(64 << 10)
	h := api.NewHandlers(api.Options{Engine: s.house.Engine, Auth: s.auth, Store: s.house.Store, Backups: s.backups, Recent: s.recent, Log: log, Closed: s.closed})
	if err := api.Register(e, h, s.who); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(e)
	t.Cleanup(s.Close)
	spec, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	s.spec = spec
	return s
}

// who is root, as on the control socket, unless the test says that it comes over the network.
func (s *site) who(r *http.Request) (auth.Principal, auth.Visit) {
	if r.Header.Get("X-Network") == "" {
		return auth.Root(), auth.Visit{}
	}
	return s.auth.Identify(r)
}

// do sends a request and holds the answer against the operation's schema.
func (s *site) do(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+api.Base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/yaml")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	s.check(t, r, resp, data)
	return resp.StatusCode, data
}

func (s *site) check(t *testing.T, r *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	name := strings.TrimPrefix(r.URL.Path, api.Base)
	item := s.spec.Paths.Value(name)
	if item == nil || item.GetOperation(r.Method) == nil {
		return
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: s.spec, Path: name, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)},
		},
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: the answer is not as specified: %v\n%s", r.Method, r.URL, err, body)
	}
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return v
}

// live lets the house be used: flows run and have run, so that no list is empty.
func (s *site) live(t *testing.T) {
	t.Helper()
	key := flow.Key{Proto: flow.ProtoTCP, Src: netip.MustParseAddrPort("10.77.0.20:50001"), Dst: netip.MustParseAddrPort("198.51.100.10:443")}
	devices := s.house.Devices()
	s.house.Machine.SetConnection(hal.Connection{ID: 1<<32 - 1, Orig: key, Reply: key.Reverse(), Seen: true, Start: time.Now(),
		OrigBytes: 1000, OrigPackets: 10, ReplyBytes: 2000, ReplyPackets: 20,
		Mark: devices[0].Number.Mark() | flow.LinkID(1).Mark() | flow.JudgedBit})
	s.house.Store.AddUsage([]store.Usage{{At: time.Now().Add(-time.Hour), Device: devices[0].ID, App: "youtube", Link: "fiber",
		Traffic: store.Traffic{Up: 1, Down: 2, PacketsUp: 3, PacketsDown: 4, Flows: 5}}})
	s.house.Store.AddBlock(store.Block{At: time.Now(), How: store.BlockedName, Device: devices[0].ID, Rule: "no-gambling", Tier: "main", Host: "bet365.com"})
	enginetest.Eventually(t, "a flow, an event and history", func() bool {
		st := s.house.Status()
		return st.Flows == 1 && len(s.house.Events(1)) == 1 && len(s.house.Links()[0].History) > 0
	})
}

// TestEveryOperation walks the specification: each operation answers as it says.
func TestEveryOperation(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	s.live(t)
	calls := map[string][]string{ // the first has a body when the operation takes one
		"GetStatus":     {"/status"},
		"ListLinks":     {"/links"},
		"GetQoS":        {"/qos"},
		"ListDevices":   {"/devices"},
		"ListLoadTests": {"/qos/tests"}, "StartLoadTest": nil, "StopLoadTest": nil, // see loadtest_test.go
		"ListFlows": {"/flows", "/flows?device=laptop&link=fiber&limit=5000", "/flows?app=youtube&limit=1", "/flows?link=none"},
		"GetWhy": {"/why?device=laptop&to=work.example", "/why?device=laptop&to=www.bet365.com", "/why?device=router&to=old.example&proto=udp&port=53&dscp=46",
			"/why?device=tablet&to=10.77.0.1&proto=icmp", "/why?device=tablet&to=2001:db8::1&at=2026-07-01T20:00:00Z", "/why?device=tablet&to=x.example&at=" + url.QueryEscape("2026-07-01T20:00:00+02:00")},
		"GetPolicy":   {"/policy"},
		"PutPolicy":   {"/policy?by=ana"},
		"CheckPolicy": {"/policy/check"},
		"ListEvents":  {"/events", "/events?limit=1"},
		"ListBlocked": {"/filter/log", "/filter/log?limit=1000&device=laptop&person=ana&rule=no-gambling"},
		"GetUsage":    {"/usage", "/usage?span=minute", "/usage?span=day&from=2026-01-01T00:00:00Z&to=2036-01-01T00:00:00Z"},
		"StreamLive":  nil, // see TestLive

		"ListRelays": {"/relays"}, "AddRelay": nil, "RemoveRelay": nil, // see relays_test.go
		"ListHardware": {"/hardware"}, "ListLAN": {"/lan"},
		"ScanWiFi": nil, // and these: see hardware_test.go
		"JoinWiFi": nil, "ForgetWiFi": nil, "UnlockModem": nil, "ConnectModem": nil, "ResetModem": nil,
		"ListMessages": nil, "SendMessage": nil, "DeleteMessage": nil,
	}
	for _, item := range s.spec.Paths.Map() {
		for method, operation := range item.Operations() {
			paths := calls[operation.OperationID] // those of others are in tests of their own; TestEveryRouteAsEveryone has all
			for _, path := range paths {
				body := ""
				if operation.RequestBody != nil {
					body = enginetest.Policy
				}
				if code, data := s.do(t, method, path, body); code != http.StatusOK {
					t.Errorf("%s %s: %d %s", method, path, code, data)
				}
			}
		}
	}
}

// TestNumbers: amounts are exact in every reader, times have their zone, durations keep their fractions.
func TestNumbers(t *testing.T) {
	s := start(t, enginetest.Policy, func(c *config.Config) { c.Links[0].Rate.Down = 1 << 60 })
	s.live(t)
	_, data := s.do(t, http.MethodGet, "/status", "")
	st := decode[api.Status](t, data)
	if got := st.Links[0]; got.CapacityDown != 1<<53-1 || got.CapacityUp != 600_000_000 || got.RttMs != 7 {
		t.Errorf("fiber: capacity %d and %d, round trip %v ms; want %d, 600000000, 7", got.CapacityDown, got.CapacityUp, got.RttMs, 1<<53-1)
	}
	if st.Now.Before(st.Started) || time.Since(st.Now) > time.Minute || st.Plan.TookMs <= 0 {
		t.Errorf("now %v, started %v, the plan took %v ms", st.Now, st.Started, st.Plan.TookMs)
	}
	if q := st.Links[2].Quota; q == nil || q.Limit != 20_000_000_000 || q.State != api.QuotaStateOk || q.Resets.Day() != 1 || !q.Resets.After(st.Now) {
		t.Errorf("lte's quota: %+v", q)
	}
	_, data = s.do(t, http.MethodGet, "/flows", "")
	flows := decode[[]api.Flow](t, data)
	if len(flows) != 1 || flows[0].Id != 1<<32-1 || flows[0].Link != "fiber" || flows[0].Src != "10.77.0.20:50001" || flows[0].Proto != "tcp" {
		t.Errorf("flows: %+v", flows)
	}
	_, data = s.do(t, http.MethodGet, "/usage", "")
	usage := decode[[]api.Usage](t, data)
	if len(usage) == 0 || usage[0].Down != 2 || usage[0].Up != 1 || usage[0].PacketsDown != 4 || usage[0].App != "youtube" {
		t.Errorf("usage: %+v", usage)
	}
	_, data = s.do(t, http.MethodGet, "/why?device=laptop&to=copies.example", "")
	why := decode[api.Answer](t, data)
	if got := why.Families[0].Links; len(got) != 2 || got[0].Share != 0.7 || got[1].Share != 0.3 {
		t.Errorf("shares: %+v, want exactly 0.7 and 0.3", got)
	}
	_, data = s.do(t, http.MethodGet, "/why?device=laptop&to=10.77.0.1", "")
	if f := decode[api.Answer](t, data).Families; len(f) != 1 || !f[0].Near || len(f[0].Links) != 0 {
		t.Errorf("to the router itself: %s", data)
	}
}

// TestRefusals: what a client got wrong is 4xx with a message that names it, in schema Error.
func TestRefusals(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	for _, c := range []struct {
		method, path, body string
		code               int
		says               []string
	}{
		{"GET", "/flows?limit=0", "", 400, []string{"limit", "at least 1"}},
		{"GET", "/flows?limit=5001", "", 400, []string{"limit", "at most 5000"}},
		{"GET", "/flows?limit=many", "", 400, []string{"limit", "many"}},
		{"GET", "/flows?limit=99999999999999999999", "", 400, []string{"limit"}},
		{"GET", "/flows?limit=1.5", "", 400, []string{"limit"}},
		{"GET", "/flows?lnk=fiber", "", 400, []string{"lnk", "device, link, app, limit"}},
		{"GET", "/flows?app=" + strings.Repeat("a", 300), "", 400, []string{"app", "253"}},
		{"GET", "/status?verbose=1", "", 400, []string{"verbose"}},
		{"GET", "/events?limit=-1", "", 400, []string{"limit", "at least 1"}},
		{"GET", "/usage?span=week", "", 400, []string{"span", "minute", "day"}},
		{"GET", "/usage?from=yesterday", "", 400, []string{"from", "2026-11-21T20:40:00Z"}},
		{"GET", "/usage?from=2026-11-21", "", 400, []string{"from", "2026-11-21T20:40:00Z"}},
		{"GET", "/usage?to=2026-07-01T20:00:00+02:00", "", 400, []string{"to", "%2B"}},
		{"GET", "/usage?from=2026-07-02T00:00:00Z&to=2026-07-01T00:00:00Z", "", 400, []string{"from", "earlier"}},
		{"GET", "/why", "", 400, []string{"device", "missing"}},
		{"GET", "/why?device=laptop", "", 400, []string{"to", "missing"}},
		{"GET", "/why?device=&to=work.example", "", 400, []string{"device"}},
		{"GET", "/why?device=laptop&to=work.example&port=65536", "", 400, []string{"port", "65535"}},
		{"GET", "/why?device=laptop&to=work.example&port=-1", "", 400, []string{"port", "0"}},
		{"GET", "/why?device=laptop&to=work.example&dscp=64", "", 400, []string{"dscp", "63"}},
		{"GET", "/why?device=laptop&to=work.example&proto=carrier-pigeon", "", 400, []string{"carrier-pigeon"}},
		{"GET", "/why?device=laptop&to=work.example&at=noon", "", 400, []string{"at", "2026-11-21T20:40:00Z"}},
		{"GET", "/why?device=laptop&to=no+name+at+all", "", 400, []string{"no name at all"}},
		{"GET", "/why?device=toaster&to=work.example", "", 404, []string{"toaster"}},
		{"PUT", "/policy?by=" + strings.Repeat("x", 65), enginetest.Policy, 400, []string{"by", "64"}},
		{"PUT", "/policy?by=a%0Ab", enginetest.Policy, 400, []string{"by"}},
		{"PUT", "/policy?version=-1", enginetest.Policy, 400, []string{"version"}},
		{"PUT", "/policy?version=one", enginetest.Policy, 400, []string{"version", "one"}},
		{"PUT", "/policy?version=7", enginetest.Policy, 409, []string{"version 7", "version 1", "read it again"}},
		{"PUT", "/policy", "#" + strings.Repeat("x", policy.MaxDocument), 413, []string{"4 MiB"}},
		{"POST", "/policy/check", "#" + strings.Repeat("x", policy.MaxDocument), 413, []string{"4 MiB"}},
		{"POST", "/status", "", 405, []string{"POST", "/status"}},
		{"GET", "/policy/check", "", 405, []string{"GET", "/policy/check"}},
		{"GET", "/nothing", "", 404, []string{"/nothing"}},
	} {
		code, data := s.do(t, c.method, c.path, c.body)
		if code != c.code {
			t.Errorf("%s %.80s: %d, want %d: %s", c.method, c.path, code, c.code, data)
			continue
		}
		message := decode[api.Error](t, data).Message
		for _, word := range c.says {
			if !strings.Contains(message, word) {
				t.Errorf("%s %.80s: %q does not say %q", c.method, c.path, message, word)
			}
		}
	}
	if got := s.house.Policy(); got.Version != 1 || got.Text != enginetest.Policy {
		t.Errorf("refused policies changed the one in force: version %d", got.Version)
	}
}

// TestPolicy: a policy is read, checked, replaced and refused as a whole.
func TestPolicy(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	_, data := s.do(t, "GET", "/policy", "")
	p := decode[api.Policy](t, data)
	if p.Version != 1 || p.Text != enginetest.Policy || p.By != "setup" {
		t.Fatalf("%+v", p)
	}
	const bad = "house:\n  - {id: a, name: A, steer: {use: [copper]}}\n  - {id: a, name: B, filter: {blok: true}}\n"
	code, data := s.do(t, "PUT", "/policy?version=1", bad)
	e := decode[api.Error](t, data)
	if code != http.StatusUnprocessableEntity || e.Problems == nil || len(*e.Problems) < 2 || !strings.Contains(strings.Join(*e.Problems, "\n"), "blok") || !strings.Contains((*e.Problems)[0], ":2:") && !strings.Contains((*e.Problems)[0], ":3:") {
		t.Errorf("a bad policy: %d %s", code, data)
	}
	_, data = s.do(t, "POST", "/policy/check", bad)
	if c := decode[api.PolicyCheck](t, data); len(c.Problems) < 2 || len(c.Changes) != 0 {
		t.Errorf("check of a bad policy: %s", data)
	}
	next := strings.Replace(enginetest.Policy, "My bank over WiFi", "My bank", 1)
	_, data = s.do(t, "POST", "/policy/check", next)
	c := decode[api.PolicyCheck](t, data)
	if len(c.Problems) != 0 || len(c.Changes) != 1 || c.Changes[0].Id != "wifi-bank" || c.Changes[0].What != api.ChangeWhatChanged {
		t.Errorf("check: %s", data)
	}
	if s.house.Policy().Version != 1 {
		t.Error("a check changed the policy")
	}
	code, data = s.do(t, "PUT", "/policy?version=1&by=ana", next)
	p = decode[api.Policy](t, data)
	if code != http.StatusOK || p.Version != 2 || p.By != "ana" || p.Text != next {
		t.Errorf("put: %d %s", code, data)
	}
	if code, data = s.do(t, "PUT", "/policy?version=1&by=leo", enginetest.Policy); code != http.StatusConflict {
		t.Errorf("put of an old version: %d %s", code, data)
	}
	_, data = s.do(t, "GET", "/events?limit=5", "")
	if !strings.Contains(string(data), "The rules were changed by ana: 1 change.") {
		t.Errorf("events: %s", data)
	}
	// The largest policy that may be is no larger for the interface than for the reader.
	if code, data = s.do(t, "POST", "/policy/check", "#"+strings.Repeat("x", policy.MaxDocument-1)); code != http.StatusOK {
		t.Errorf("4 MiB of comment: %d %.200s", code, data)
	}
}

// TestEmptyHouse: nothing is configured and no list is null.
func TestEmptyHouse(t *testing.T) {
	s := start(t, "", nil)
	for _, path := range []string{"/status", "/links", "/devices", "/flows", "/policy", "/events", "/usage"} {
		code, data := s.do(t, "GET", path, "")
		if code != http.StatusOK || bytes.Contains(data, []byte("null")) {
			t.Errorf("%s: %d %s", path, code, data)
		}
	}
}

// TestClient: the client that the command line uses understands the answers, errors included.
func TestClient(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	c, err := api.NewClientWithResponses(s.URL + api.Base)
	if err != nil {
		t.Fatal(err)
	}
	port := 443
	r, err := c.GetWhyWithResponse(t.Context(), &api.GetWhyParams{Device: "laptop", To: "work.example", Port: &port})
	if err != nil || r.JSON200 == nil || r.JSON200.Families[0].Links[0].Link != "fiber" {
		t.Errorf("why: %v %s", err, r.Body)
	}
	port = 70000
	r, err = c.GetWhyWithResponse(t.Context(), &api.GetWhyParams{Device: "laptop", To: "work.example", Port: &port})
	if err != nil || r.JSONDefault == nil || !strings.Contains(r.JSONDefault.Message, "port") || r.StatusCode() != http.StatusBadRequest {
		t.Errorf("why with a bad port: %v %s", err, r.Body)
	}
	by := "ana"
	put, err := c.PutPolicyWithBodyWithResponse(t.Context(), &api.PutPolicyParams{By: &by}, "application/yaml", strings.NewReader("house: nonsense"))
	if err != nil || put.JSONDefault == nil || put.JSONDefault.Problems == nil {
		t.Errorf("put: %v %s", err, put.Body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.GetStatusWithResponse(ctx); err == nil {
		t.Error("a canceled call succeeded")
	}
}
