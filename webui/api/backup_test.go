package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/auth"
)

// send sends a backup as a form, by somebody who signed in.
func (s *site) send(t *testing.T, file []byte, passphrase string, header http.Header) (int, []byte) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("passphrase", passphrase); err != nil {
		t.Fatal(err)
	}
	part, err := form.CreateFormFile("file", "backup")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+api.Base+"/restore/check", &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	r.Header.Set("X-Network", "1")
	r.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, data
}

// TestBackupAndRestore as an admin does it on the page: the file is looked through wholly, tells what it would change, and only this login keeps it.
func TestBackupAndRestore(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	header := s.family(t)["admin"]()
	code, file := s.call(t, http.MethodPost, "/backup", `{"passphrase":"eleven slow canal boats","secrets":true}`, header)
	if code != http.StatusOK || bytes.Contains(file, []byte(planted)) {
		t.Fatalf("%d %.80q", code, file)
	}
	if code, data := s.call(t, http.MethodPost, "/backup", `{"secrets":true}`, header); code != http.StatusUnprocessableEntity || !strings.Contains(string(data), `"passphrase"`) {
		t.Errorf("secrets without a passphrase: %d %s", code, data)
	}
	for pass, want := range map[string]string{"": "passphrase", "not the passphrase": "passphrase"} {
		if code, data := s.send(t, file, pass, header); code != http.StatusUnprocessableEntity || !strings.Contains(string(data), `"`+want+`"`) {
			t.Errorf("with %q: %d %s", pass, code, data)
		}
	}
	if code, data := s.send(t, []byte("a holiday picture"), "", header); code != http.StatusUnprocessableEntity || !strings.Contains(string(data), `"file"`) {
		t.Errorf("no backup: %d %s", code, data)
	}
	// What changes after the backup is what restoring it would take back.
	if _, err := s.auth.Add(t.Context(), auth.NewUser{Name: "late", Role: auth.Viewer, Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.house.SetPolicy(t.Context(), "people: [{id: leo}]\n", "test", 0); err != nil {
		t.Fatal(err)
	}
	code, data := s.send(t, file, "eleven slow canal boats", header)
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	plan := decode[api.RestorePlan](t, data)
	what := map[string]api.RestoredUserWhat{}
	for _, u := range plan.Users {
		what[u.Name] = u.What
	}
	if len(plan.Problems) > 0 || len(plan.Changes) == 0 || what["late"] != api.RestoredUserWhatRemoved || what["boss"] != api.RestoredUserWhatSame || !plan.Keeps || plan.Id == "" {
		t.Errorf("%+v", plan)
	}
	if bytes.Contains(data, []byte(planted)) && plan.Config == nil {
		t.Errorf("a secret is told: %s", data)
	}
	if code, data := s.call(t, http.MethodPost, "/restore/begin", `{"id":"other"}`, header); code != http.StatusNotFound {
		t.Errorf("another file: %d %s", code, data)
	}
	begin, _ := json.Marshal(map[string]any{"id": plan.Id, "seconds": 600})
	if code, data := s.call(t, http.MethodPost, "/restore/begin", string(begin), header); code != http.StatusOK || s.restarts.Load() != 1 {
		t.Fatalf("%d %s, %d restarts", code, data, s.restarts.Load())
	}
	s.backups.Settle(t.Context())
	// Rules that are changed now would be lost with the way back.
	if code, data := s.call(t, http.MethodPut, "/policy", "house: []", header); code != http.StatusConflict {
		t.Errorf("a change while a backup is tried: %d %s", code, data)
	}
	if st := decode[api.Restore](t, second(s.call(t, http.MethodGet, "/restore", "", header))); !st.Running || !st.Settled || st.Mine == nil || !*st.Mine || st.LeftMs == nil {
		t.Errorf("%+v", st)
	}
	other, _, err := s.auth.Begin(t.Context(), s.auth.Users()[0].ID, auth.Visit{})
	if err != nil {
		t.Fatal(err)
	}
	if code, data := s.call(t, http.MethodPost, "/restore/keep", "", http.Header{"Cookie": {auth.Cookie(auth.Visit{}, other).String()}}); code != http.StatusForbidden {
		t.Errorf("kept by another login: %d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/restore/keep", "", header); code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	users, err := s.house.Store.Users(t.Context())
	if err != nil || len(users) != 3 {
		t.Errorf("%+v, %v", users, err)
	}
}

func second(_ int, data []byte) []byte { return data }

// TestRestoreRefusesWhatDoesNotFit: users that this router could not have made; rules about links that are not here are told.
func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	s, old := start(t, enginetest.Policy, nil), start(t, enginetest.Policy, nil)
	if _, err := old.house.Store.AddUser(t.Context(), store.User{Name: "x", Role: "emperor", Password: "plain"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := old.house.Store.SavePolicy(t.Context(), "house: [{id: a, force: must, steer: {use: [satellite]}}]", "test", ""); err != nil {
		t.Fatal(err)
	}
	_, file := old.do(t, http.MethodPost, "/backup", "{}")
	code, data := s.send(t, file, "", s.family(t)["admin"]())
	plan := decode[api.RestorePlan](t, data)
	if code != http.StatusOK || plan.Id != "" || !strings.Contains(strings.Join(plan.Problems, " "), "emperor") || !strings.Contains(strings.Join(plan.Warnings, " "), "satellite") {
		t.Errorf("%d %s", code, data)
	}
}

// TestSupportBundleHasNoSecrets plants secrets where a router has them and looks for each in the bundle.
func TestSupportBundleHasNoSecrets(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	callers := s.family(t)
	if err := s.house.Store.PutSetting(t.Context(), "web/anything", []byte(planted)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.recent.Write([]byte("a line of the log\n")); err != nil {
		t.Fatal(err)
	}
	header := callers["admin"]()
	code, file := s.call(t, http.MethodGet, "/support", "", header)
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, file)
	}
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"a line of the log", "apn: visible", "status.json", "fiber", "wifi-bank"} {
		if !bytes.Contains(text, []byte(wanted)) {
			t.Errorf("%s is not in it", wanted)
		}
	}
	hidden := []string{planted, password, strings.TrimPrefix(header.Get("Cookie"), "trenza="), "argon2id", strings.TrimPrefix(callers["read"]().Get("Authorization"), "Bearer ")}
	users, err := s.house.Store.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		hidden = append(hidden, u.Password)
	}
	for _, secret := range hidden {
		if secret == "" || bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q is in it", secret)
		}
	}
}
