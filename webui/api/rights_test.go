package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/auth"
)

// route is what is expected of one operation: a call of it, and who gets past the door.
type route struct {
	path string // with values for its parameters
	body string // JSON, or YAML where the operation takes that
	may  string // of the callers' kinds
}

const (
	everyone  = "stranger newcomer admin viewer member read rules control"
	signedIn  = "admin viewer member"
	lookers   = "admin viewer member read"
	overseers = "admin viewer read"
	handlers  = "admin control"
	editors   = "admin member rules"
	owner     = "admin"
)

// expected holds every operation of openapi.yaml. It is written by hand, beside the x-access of the specification that it checks.
func expected() map[string]route {
	return map[string]route{
		"getStatus":        {"/status", "", lookers},
		"listLinks":        {"/links", "", lookers},
		"getQoS":           {"/qos", "", lookers},
		"listLoadTests":    {"/qos/tests", "", overseers},
		"startLoadTest":    {"/qos/tests", `{"link":"none","server":"http://192.0.2.1/"}`, handlers},
		"stopLoadTest":     {"/qos/tests", "", handlers},
		"listDevices":      {"/devices", "", lookers},
		"listFlows":        {"/flows", "", lookers},
		"getWhy":           {"/why?device=tablet&to=work.example", "", lookers},
		"getPolicy":        {"/policy", "", overseers},
		"putPolicy":        {"/policy?version=99", "house: []", "admin rules"},
		"checkPolicy":      {"/policy/check", "house: []", overseers},
		"listEvents":       {"/events", "", lookers},
		"getUsage":         {"/usage", "", lookers},
		"streamLive":       {"/live", "", lookers},
		"listBlocked":      {"/filter/log", "", lookers},
		"listRules":        {"/rules", "", lookers},
		"createDraft":      {"/drafts", `{"version":1,"edits":[]}`, editors},
		"getDraft":         {"/drafts/none", "", editors},
		"deleteDraft":      {"/drafts/none", "", editors},
		"applyDraft":       {"/drafts/none/apply", "{}", editors},
		"getTrial":         {"/trial", "", lookers},
		"keepTrial":        {"/trial/keep", `{"id":"none"}`, editors},
		"dropTrial":        {"/trial/back", `{"id":"none"}`, editors},
		"listRequests":     {"/requests", "", lookers},
		"addRequest":       {"/requests", `{"text":"more"}`, "member"},
		"answerRequest":    {"/requests/999/answer", `{"accept":true}`, "admin rules"},
		"listRelays":       {"/relays", "", overseers},
		"addRelay":         {"/relays", `{"code":"none"}`, handlers},
		"removeRelay":      {"/relays/remove", `{"name":"none"}`, handlers},
		"listHardware":     {"/hardware", "", overseers},
		"listLAN":          {"/lan", "", overseers},
		"scanWiFi":         {"/hardware/wifi/scan", "{}", handlers},
		"joinWiFi":         {"/hardware/wifi/join", "{}", handlers},
		"forgetWiFi":       {"/hardware/wifi/forget", "{}", handlers},
		"unlockModem":      {"/hardware/modem/unlock", "{}", handlers},
		"connectModem":     {"/hardware/modem/connect", "{}", handlers},
		"resetModem":       {"/hardware/modem/reset", "{}", handlers},
		"listMessages":     {"/hardware/modem/messages", "", handlers}, // banks send codes by them
		"sendMessage":      {"/hardware/modem/messages", "{}", handlers},
		"deleteMessage":    {"/hardware/modem/messages?id=x", "", handlers},
		"getSession":       {"/session", "", everyone},
		"signIn":           {"/session", `{"name":"nobody","password":"wrong"}`, everyone},
		"signOut":          {"/session", "", everyone},
		"listSessions":     {"/sessions", "", signedIn},
		"endSession":       {"/sessions/none", "", signedIn},
		"getSetup":         {"/setup", "", "newcomer admin"},
		"putSetup":         {"/setup", `{"language":"es"}`, "newcomer admin"},
		"createFirstAdmin": {"/setup/admin", `{"name":"x","password":"x"}`, "newcomer"},
		"ratePassword":     {"/password/strength", `{"password":"x"}`, everyone},
		"setMyPassword":    {"/me/password", `{"old":"x","new":"y"}`, signedIn},
		"beginTotp":        {"/me/totp", `{"password":"x"}`, signedIn},
		"confirmTotp":      {"/me/totp", `{"code":"000000"}`, signedIn},
		"endTotp":          {"/me/totp", `{"password":"x"}`, signedIn},
		"listUsers":        {"/users", "", owner},
		"addUser":          {"/users", `{"name":"x","password":"x","role":"viewer"}`, owner},
		"changeUser":       {"/users/999", `{"role":"admin"}`, owner},
		"deleteUser":       {"/users/999", "", owner},
		"listTokens":       {"/tokens", "", signedIn},
		"addToken":         {"/tokens", `{"name":"x","scopes":["read"]}`, signedIn},
		"deleteToken":      {"/tokens/999", "", signedIn},
		"getCertificate":   {"/certificate", "", everyone},
		"listAudit":        {"/audit", "", overseers},
		"makeBackup":       {"/backup", "{}", owner},
		"getRestore":       {"/restore", "", overseers},
		"checkRestore":     {"/restore/check", "no form", owner},
		"beginRestore":     {"/restore/begin", `{"id":"none"}`, owner},
		"keepRestore":      {"/restore/keep", "", owner},
		"backRestore":      {"/restore/back", "", owner},
		"getSupport":       {"/support", "", owner},
		"capture":          {"/capture?device=none", "", owner},
		"listPeople":       {"/people", "", lookers},
		"listApps":         {"/apps", "", lookers},
	}
}

// password is one that is strong enough.
const password = "seven wet donkeys hum"

// family makes users of each kind and returns what lets each caller in. A newcomer is a stranger to a router without users, so
// that caller is not among them.
func (s *site) family(t *testing.T) map[string]func() http.Header {
	t.Helper()
	cookie := func(n auth.NewUser) (int64, func() http.Header) {
		n.Password = password
		u, err := s.auth.Add(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return u.ID, func() http.Header {
			token, _, err := s.auth.Begin(t.Context(), u.ID, auth.Visit{})
			if err != nil {
				t.Fatal(err)
			}
			return http.Header{"Cookie": {auth.Cookie(auth.Visit{}, token).String()}}
		}
	}
	admin, asAdmin := cookie(auth.NewUser{Name: "boss", Role: auth.Admin})
	_, asViewer := cookie(auth.NewUser{Name: "guest", Role: auth.Viewer})
	_, asMember := cookie(auth.NewUser{Name: "junior", Role: auth.Member, Person: "leo"})
	out := map[string]func() http.Header{"stranger": func() http.Header { return http.Header{} }, "admin": asAdmin, "viewer": asViewer, "member": asMember}
	for _, scope := range []auth.Scope{auth.Read, auth.Rules, auth.Control} {
		secret, _, err := s.auth.AddToken(t.Context(), admin, string(scope), []auth.Scope{scope}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		out[string(scope)] = func() http.Header { return http.Header{"Authorization": {"Bearer " + secret}} }
	}
	return out
}

// call makes a request over the network and holds the answer to the specification.
func (s *site) call(t *testing.T, method, path, body string, header http.Header) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+api.Base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	r.Header.Set("X-Network", "1")
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/yaml")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		// One event is enough; the stream has no end.
		buffer := make([]byte, 64<<10)
		n, err := resp.Body.Read(buffer)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		return resp.StatusCode, buffer[:n]
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, data
}

// refused tells whether an answer is one of the door, not of the handler behind it.
func refused(t *testing.T, code int, data []byte) bool {
	t.Helper()
	var e api.Error
	if code < 400 || json.Unmarshal(data, &e) != nil || e.Code == nil {
		return false
	}
	door := slices.Contains([]string{"sign-in", "forbidden", "scope", "setup-needed"}, *e.Code)
	if door && code != http.StatusUnauthorized && code != http.StatusForbidden {
		t.Errorf("refused with %d %s", code, data)
	}
	return door
}

// TestEveryRouteAsEveryone walks the specification and makes every call as every kind of caller. An operation without an entry in
// expected fails.
func TestEveryRouteAsEveryone(t *testing.T) {
	fresh := start(t, enginetest.Policy, nil)
	s := start(t, enginetest.Policy, nil)
	callers := s.family(t)
	table := expected()
	for path, item := range s.spec.Paths.Map() {
		for method, operation := range item.Operations() {
			id := written(operation.OperationID)
			want, known := table[id]
			if !known {
				t.Errorf("%s %s (%s) has no entry: say who may use it", method, path, operation.OperationID)
				continue
			}
			delete(table, id)
			may := strings.Fields(want.may)
			for _, caller := range slices.Sorted(maps.Keys(callers)) {
				code, data := s.call(t, method, want.path, want.body, callers[caller]())
				if got := !refused(t, code, data); got != slices.Contains(may, caller) {
					t.Errorf("%s %s as %s: %d %.200s", method, want.path, caller, code, data)
				}
			}
			// While there are no users, only what the setup needs is open, and a session of nobody is no way around.
			code, data := fresh.call(t, method, want.path, want.body, http.Header{"Cookie": {"trenza=x"}})
			if got := !refused(t, code, data); got != slices.Contains(may, "newcomer") {
				t.Errorf("%s %s as a newcomer: %d %.200s", method, want.path, code, data)
			}
		}
	}
	for id := range table {
		t.Errorf("%s is expected and does not exist", id)
	}
}

// TestMemberSeesNothingOfOthers: no answer that a member gets has anything of another person in it, whatever the route.
func TestMemberSeesNothingOfOthers(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	s.live(t) // a flow of ana's laptop, and usage
	callers := s.family(t)
	of := []string{"laptop", "Laptop", "ana", "Ana", enginetest.Laptop.String(), enginetest.LaptopMAC.String(), "work.example", "wifi-bank", "198.51.100.10"}
	for id, want := range expected() {
		method := methodOf(t, s, id)
		if method != http.MethodGet || !slices.Contains(strings.Fields(want.may), "member") || id == "listApps" {
			continue // the catalogue's applications are everyone's
		}
		// getWhy is asked by the member's own device for what is another person's rule.
		path := strings.Replace(want.path, "to=work.example", "to=bet365.com", 1)
		_, data := s.call(t, method, path, "", callers["member"]())
		for _, word := range of {
			if bytes.Contains(data, []byte(`"`+word)) || bytes.Contains(data, []byte(word+`"`)) || bytes.Contains(data, []byte(word+` `)) {
				t.Errorf("%s tells a member of %q: %s", path, word, data)
			}
		}
		code, data := s.call(t, method, path, "", callers["admin"]())
		if code != http.StatusOK && !strings.Contains(path, "/none") {
			t.Errorf("%s as admin: %d %s", path, code, data)
		}
	}
	// By name, address and id a device of others is as if it did not exist.
	_, missing := s.call(t, http.MethodGet, "/why?device=nothing&to=x.example", "", callers["member"]())
	for _, device := range []string{"laptop", enginetest.Laptop.String(), enginetest.LaptopMAC.String(), "router"} {
		code, data := s.call(t, http.MethodGet, "/why?device="+device+"&to=x.example", "", callers["member"]())
		if got := strings.ReplaceAll(string(data), device, "nothing"); code != http.StatusNotFound || got != string(missing) {
			t.Errorf("why of %s: %d %s, want %s", device, code, data, missing)
		}
		_, data = s.call(t, http.MethodGet, "/flows?device="+device, "", callers["member"]())
		if strings.TrimSpace(string(data)) != "[]" {
			t.Errorf("flows of %s: %s", device, data)
		}
	}
	if code, data := s.call(t, http.MethodGet, "/why?device=tablet&to=x.example", "", callers["member"]()); code != http.StatusOK {
		t.Errorf("why of their own tablet: %d %s", code, data)
	}
}

// written is an operation's id as openapi.yaml has it; the generated specification begins it with a capital.
func written(id string) string { return strings.ToLower(id[:1]) + id[1:] }

func methodOf(t *testing.T, s *site, id string) string {
	t.Helper()
	for _, item := range s.spec.Paths.Map() {
		for method, operation := range item.Operations() {
			if written(operation.OperationID) == id {
				return method
			}
		}
	}
	t.Fatalf("no operation %s", id)
	return ""
}

// TestSetup goes from a new router to a family, as a browser does.
func TestSetup(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	session := func(header http.Header) api.Session {
		t.Helper()
		_, data := s.call(t, http.MethodGet, "/session", "", header)
		return decode[api.Session](t, data)
	}
	if got := session(nil); got.State != api.SessionStateSetup || got.User != nil {
		t.Errorf("a new router: %+v", got)
	}
	if code, data := s.call(t, http.MethodPut, "/setup", `{"language":"zh"}`, nil); code != http.StatusOK {
		t.Errorf("language: %d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPut, "/setup", `{"done":true}`, nil); code != http.StatusUnauthorized {
		t.Errorf("a stranger ends the setup: %d %s", code, data)
	}
	for _, weak := range []string{"password123", "trenza-router", "aaaaaaaaaaaaaaaa", "short"} {
		if code, data := s.call(t, http.MethodPost, "/setup/admin", fmt.Sprintf(`{"name":"eva","password":%q}`, weak), nil); code != http.StatusUnprocessableEntity || !strings.Contains(string(data), "weak-password") {
			t.Errorf("%s: %d %s", weak, code, data)
		}
	}
	// Many come first at once: one is.
	won := make(chan bool, 6)
	for i := range cap(won) {
		go func() {
			r, err := http.NewRequest(http.MethodPost, s.URL+api.Base+"/setup/admin", strings.NewReader(fmt.Sprintf(`{"name":"eva%d","password":%q}`, i, password)))
			if err != nil {
				panic(err)
			}
			r.Header.Set("X-Network", "1")
			r.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				panic(err)
			}
			resp.Body.Close()
			won <- resp.StatusCode == http.StatusOK
		}()
	}
	winners := 0
	for range cap(won) {
		if <-won {
			winners++
		}
	}
	users := s.auth.Users()
	if winners != 1 || len(users) != 1 {
		t.Fatalf("%d won, users %+v", winners, users)
	}
	if code, data := s.call(t, http.MethodPost, "/setup/admin", fmt.Sprintf(`{"name":"late","password":%q}`, password), nil); code != http.StatusForbidden {
		t.Errorf("a second first admin: %d %s", code, data)
	}
	// It goes on where it was left.
	token, _, err := s.auth.Begin(t.Context(), users[0].ID, auth.Visit{})
	if err != nil {
		t.Fatal(err)
	}
	me := http.Header{"Cookie": {auth.Cookie(auth.Visit{}, token).String()}}
	if code, data := s.call(t, http.MethodPut, "/setup", `{"step":"links"}`, me); code != http.StatusOK {
		t.Errorf("step: %d %s", code, data)
	}
	if got := session(me); got.SetupStep == nil || *got.SetupStep != "links" || got.State != api.SessionStateSignedIn {
		t.Errorf("while it is set up: %+v", got)
	}
	_, data := s.call(t, http.MethodPut, "/setup", `{"done":true}`, me)
	if got := decode[api.Setup](t, data); !got.Done || got.Language != "zh" || got.Needed {
		t.Errorf("done: %+v", got)
	}
	if got := session(nil); got.State != api.SessionStateAnonymous {
		t.Errorf("a stranger afterwards: %+v", got)
	}
}

// TestSignIn: the cookie of signing in lets in, until it is signed out; what is wrong is told and slowed down.
func TestSignIn(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	s.family(t)
	body := fmt.Sprintf(`{"name":"Boss","password":%q}`, password)
	r, err := http.NewRequest(http.MethodPost, s.URL+api.Base+"/session", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Network", "1")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cookies := resp.Cookies()
	if resp.StatusCode != http.StatusOK || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Path != "/" {
		t.Fatalf("%s %+v", resp.Status, cookies)
	}
	me := http.Header{"Cookie": {cookies[0].Name + "=" + cookies[0].Value}}
	if code, _ := s.call(t, http.MethodGet, "/users", "", me); code != http.StatusOK {
		t.Errorf("signed in: %d", code)
	}
	twice := http.Header{"Cookie": {me.Get("Cookie") + "; trenza=planted"}}
	if code, _ := s.call(t, http.MethodGet, "/users", "", twice); code != http.StatusUnauthorized {
		t.Errorf("with a planted cookie: %d", code)
	}
	if code, _ := s.call(t, http.MethodDelete, "/session", "", me); code != http.StatusOK {
		t.Errorf("signing out: %d", code)
	}
	if code, _ := s.call(t, http.MethodGet, "/users", "", me); code != http.StatusUnauthorized {
		t.Errorf("signed out: %d", code)
	}
	last := 0
	var data []byte
	for range 7 {
		last, data = s.call(t, http.MethodPost, "/session", `{"name":"boss","password":"guess"}`, nil)
	}
	if e := decode[api.Error](t, data); last != http.StatusTooManyRequests || e.RetryMs == nil || *e.RetryMs <= 0 {
		t.Errorf("the seventh guess: %d %s", last, data)
	}
	// Also the right password has to wait, or guessing would go on.
	if code, _ := s.call(t, http.MethodPost, "/session", body, nil); code != http.StatusTooManyRequests {
		t.Errorf("the right password in the waiting time: %d", code)
	}
}

// TestBodies: what is not as specified never reaches a handler, and no refusal repeats a password.
func TestBodies(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	for body, want := range map[string]int{
		`{"name":"a"}`: 400, `{"name":"a","password":"secret-x","more":1}`: 400, `{"name":1,"password":"secret-x"}`: 400, `{`: 400, `[]`: 400, `null`: 400,
		`{"name":"` + strings.Repeat("a", 65) + `","password":"secret-x"}`:   400,
		`{"name":"a","password":"secret-x` + strings.Repeat("x", 300) + `"}`: 400,
		`{"name":"a","password":"` + strings.Repeat("x", 2<<20) + `"}`:       413,
	} {
		r, err := http.NewRequest(http.MethodPost, s.URL+api.Base+"/session", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || strings.Contains(string(data), "secret-x") {
			t.Errorf("%.80s: %d %s, want %d", body, resp.StatusCode, data, want)
		}
	}
	if code, _ := s.call(t, http.MethodPost, "/session", "name: a", nil); code != http.StatusUnsupportedMediaType {
		t.Errorf("YAML: %d", code)
	}
}
