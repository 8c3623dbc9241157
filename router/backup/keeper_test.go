package backup

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/store"
)

const pass = "eleven slow canal boats"

// box is a router as far as a Keeper sees it.
type box struct {
	*Keeper
	store    *store.Store
	state    string
	restarts int
}

func newBox(t *testing.T, state string, config string) *box {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(state, "trenza.db"), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	b := &box{store: s, state: state}
	b.Keeper = New(Options{Store: s, State: state, Config: config, Version: "1.2.3", Log: slog.New(slog.DiscardHandler), Now: time.Now, Restart: func() { b.restarts++ }})
	return b
}

func (b *box) write(t *testing.T, name, text string) {
	t.Helper()
	to := filepath.Join(b.state, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// house is everything that a restore may change.
func (b *box) house(t *testing.T) (store.Household, map[string]File) {
	t.Helper()
	h, err := b.store.Household(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := readSecrets(b.state)
	if err != nil {
		t.Fatal(err)
	}
	return h, files
}

const planted = "planted-secret-9871"

// oldBox is a house with a planted secret in every place where a router has one.
func oldBox(t *testing.T) *box {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "trenza.yaml")
	text := "lan: [{device: lan0}]\nlinks:\n  - name: lte\n    hardware: {kind: modem, apn: x, password: " + planted + "}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, dir, config)
	if _, err := b.store.AddUser(t.Context(), store.User{Name: "Rosa", Role: "admin", Password: "$old", TOTP: []byte(planted), Recovery: planted}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.SavePolicy(t.Context(), "people: [{id: ana}]\n", "Rosa", ""); err != nil {
		t.Fatal(err)
	}
	if err := b.store.PutDevices(t.Context(), []store.Device{{Number: 2, ID: "tv", Name: "TV"}}); err != nil {
		t.Fatal(err)
	}
	b.write(t, "ca.pem", "certificate")
	b.write(t, "ca.key", planted)
	b.write(t, "links.yaml", "links: []\n")
	b.write(t, "relay/bond/bond.json", planted)
	return b
}

// stage makes a backup of from and has it wait in b.
func stage(t *testing.T, from, b *box, w Wish, passphrase string) string {
	t.Helper()
	file, err := from.Make(t.Context(), w, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(file, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.Stage(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestNoSecretUnlessAsked plants secrets everywhere and looks for them in a backup that did not ask for them.
func TestNoSecretUnlessAsked(t *testing.T) {
	b := oldBox(t)
	all := Wish{Devices: true, History: true}
	file, err := b.Make(t.Context(), all, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(file, "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Seal(c, pass)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := unseal(again, pass)
	if err != nil {
		t.Fatal(err)
	}
	text := unpack(t, packed)
	if bytes.Contains(text, []byte(planted)) || bytes.Contains(text, []byte("cGxhbnRlZC")) { // base64 of "planted"
		t.Errorf("a secret is in it:\n%s", text)
	}
	if !bytes.Contains(text, []byte("apn: x")) {
		t.Errorf("the configuration is not in it:\n%s", text)
	}
	if _, err := b.Make(t.Context(), Wish{Secrets: true}, ""); !errors.Is(err, ErrShortPass) {
		t.Errorf("secrets without a passphrase: %v", err)
	}
	sealed, err := b.Make(t.Context(), Wish{Secrets: true}, pass)
	if err != nil || bytes.Contains(sealed, []byte(planted)) {
		t.Error("sealed:", err)
	}
}

// TestRestoreMovesAHousehold to a new box, where only the login that restored it can keep it.
func TestRestoreMovesAHousehold(t *testing.T) {
	old, b := oldBox(t), newBox(t, t.TempDir(), "")
	admin, err := b.store.AddUser(t.Context(), store.User{Name: "New", Role: "admin", Password: "$new"}, true)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "ca.key", "of the new box")
	id := stage(t, old, b, Wish{Devices: true, Secrets: true}, pass)
	who := Who{Name: "New", Voice: "session 1", User: admin.ID}
	if err := b.Begin(id, 2, who, time.Hour); !errors.Is(err, ErrUnstaged) {
		t.Errorf("somebody else's file: %v", err)
	}
	if err := b.Begin(id, 1, who, time.Hour); err != nil || b.restarts != 1 {
		t.Fatal(err, b.restarts)
	}
	if st := b.State(); !st.Running || st.Settled {
		t.Errorf("begun: %+v", st)
	}
	b.Settle(t.Context())
	if st := b.State(); !st.Running || !st.Settled || st.Failed != "" {
		t.Fatalf("settled: %+v", st)
	}
	h, files := b.house(t)
	if len(h.Users) != 2 || h.Users[0].Name != "New" || string(h.Users[1].TOTP) != planted || h.Devices[0].ID != "tv" || h.Policy == "" {
		t.Errorf("%+v", h)
	}
	_, want := old.house(t)
	if d := cmp.Diff(want, files); d != "" {
		t.Error(d)
	}
	if err := b.Keep(t.Context(), "session 2"); !errors.Is(err, ErrOther) {
		t.Errorf("another login: %v", err)
	}
	end := b.trial.end
	if err := b.Keep(t.Context(), "session 1"); err != nil {
		t.Fatal(err)
	}
	if end.Stop() {
		t.Error("the time of a backup that was kept goes on, and would end the next one's trial")
	}
	if err := b.Back(); !errors.Is(err, ErrNone) {
		t.Errorf("back after it was kept: %v", err)
	}
	if back, err := b.Recover(t.Context()); back || err != nil {
		t.Errorf("recovered: %v, %v", back, err)
	}
	if _, err := os.Stat(filepath.Join(b.state, aside)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was set aside is still there: %v", err)
	}
}

// TestRestoreGoesBack when nobody keeps it in time, when someone says so, and when the process ends in the middle.
func TestRestoreGoesBack(t *testing.T) {
	old := oldBox(t)
	for name, end := range map[string]func(*testing.T, *box) *box{
		"said": func(t *testing.T, b *box) *box {
			end := b.trial.end
			if err := b.Back(); err != nil {
				t.Fatal(err)
			}
			if end.Stop() {
				t.Error("the time of a backup that went back goes on, and would end the next one's trial")
			}
			b.Settle(t.Context())
			return b
		},
		"ended": func(t *testing.T, b *box) *box {
			if err := b.store.Close(); err != nil {
				t.Fatal(err)
			}
			b = newBox(t, b.state, "")
			if back, err := b.Recover(t.Context()); !back || err != nil {
				t.Fatalf("recovered: %v, %v", back, err)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, t.TempDir(), "")
			if _, err := b.store.AddUser(t.Context(), store.User{Name: "New", Role: "admin", Password: "$new"}, true); err != nil {
				t.Fatal(err)
			}
			b.write(t, "ca.key", "of the new box")
			h, files := b.house(t)
			if err := b.Begin(stage(t, old, b, Wish{Devices: true, Secrets: true}, pass), 1, Who{Voice: "root"}, time.Hour); err != nil {
				t.Fatal(err)
			}
			b.Settle(t.Context())
			if restored, _ := b.house(t); len(restored.Users) != 1 || restored.Users[0].Name != "Rosa" {
				t.Fatalf("%+v", restored)
			}
			b = end(t, b)
			gotHouse, gotFiles := b.house(t)
			if d := cmp.Diff(h, gotHouse) + cmp.Diff(files, gotFiles); d != "" {
				t.Error(d)
			}
			if st := b.State(); st.Running {
				t.Errorf("%+v", st)
			}
		})
	}
	b := newBox(t, t.TempDir(), "")
	asked := make(chan struct{}, 8)
	b.o.Restart = func() { asked <- struct{}{} }
	if err := b.Begin(stage(t, old, b, Wish{}, ""), 1, Who{Voice: "root"}, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	<-asked
	b.Settle(t.Context())
	<-asked // the time is over
	b.Settle(t.Context())
	if h, _ := b.house(t); len(h.Users) != 0 {
		t.Errorf("%+v", h)
	}
}

// TestRestoreThatFails leaves everything as it was, and says why.
func TestRestoreThatFails(t *testing.T) {
	b := newBox(t, t.TempDir(), "")
	c := sample()
	c.Secrets = map[string]File{"relay/bond/x": File("y")}
	id, err := b.Stage(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "relay", "a file where a directory is needed")
	if err := b.Begin(id, 0, Who{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context())
	st := b.State()
	h, err := b.store.Household(t.Context())
	if st.Running || st.Failed == "" || err != nil || len(h.Users) != 0 || h.Policy != "" {
		t.Errorf("%+v, %+v, %v", st, h, err)
	}
}

func unpack(t *testing.T, packed []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
