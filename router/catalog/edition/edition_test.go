package edition

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/trenza-router/trenza/router/catalog"
)

// compiled is a catalogue of a version, with one application named after it.
func compiled(t testing.TB, version uint64) []byte {
	t.Helper()
	c, err := catalog.Compile(fstest.MapFS{
		"VERSION":         {Data: fmt.Append(nil, version)},
		"categories.yaml": {Data: []byte("- id: video\n  names: {en: V, es: V, zh: V}\n")},
		"apps/x.yaml":     {Data: fmt.Appendf(nil, "id: x\nnames: {en: X, es: X, zh: X}\ncategory: video\ndomains: [v%d.example]\n", version)},
	}, "test")
	if err != nil {
		t.Fatal(err)
	}
	return c.Encode()
}

// maker signs editions.
type maker struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func newMaker(t testing.TB) maker {
	t.Helper()
	public, text, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return maker{private, public}
}

func (m maker) edition(t testing.TB, version uint64) []byte {
	t.Helper()
	data, err := Sign(compiled(t, version), m.private)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// old is what a program carries.
func old(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Decode(string(compiled(t, 10)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newStore(t testing.TB, m maker) Store {
	return Store{Dir: filepath.Join(t.TempDir(), "catalog"), Keys: []ed25519.PublicKey{newMaker(t).public, m.public}}
}

// inForce loads as a starting router does.
func inForce(t testing.TB, s Store) (version uint64, problems int) {
	t.Helper()
	c, errs := s.Load(old(t))
	if host := fmt.Sprintf("v%d.example", c.Version()); c.AppOf(host) != "x" {
		t.Errorf("version %d does not know %s", c.Version(), host)
	}
	return c.Version(), len(errs)
}

func TestInstall(t *testing.T) {
	m := newMaker(t)
	s := newStore(t, m)
	if v, n := inForce(t, s); v != 10 || n != 0 {
		t.Fatalf("a new router has version %d and %d problems", v, n)
	}
	for _, step := range []struct {
		version uint64
		older   bool
		want    error
		now     uint64
	}{
		{9, false, ErrOlder, 10},
		{9, true, ErrOlder, 10}, // the built-in one would be taken anyway
		{10, false, ErrSame, 10},
		{12, false, nil, 12},
		{12, false, ErrSame, 12},
		{11, false, ErrOlder, 12},
		{11, true, nil, 11},
		{13, false, nil, 13},
	} {
		done, err := s.Install(m.edition(t, step.version), old(t), step.older)
		if !errors.Is(err, step.want) || step.want == nil && err != nil {
			t.Errorf("version %d: %v, want %v", step.version, err, step.want)
		}
		if v, n := inForce(t, s); v != step.now || n != 0 || err == nil && done.Now != v {
			t.Errorf("after version %d: version %d in force, %d problems", step.version, v, n)
		}
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// TestBadEditionsChangeNothing: forged, cut off, damaged or foreign editions leave the directory byte for byte as it was.
func TestBadEditionsChangeNothing(t *testing.T) {
	m := newMaker(t)
	s := newStore(t, m)
	if _, err := s.Install(m.edition(t, 12), old(t), false); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, s.Dir)
	good := m.edition(t, 13)
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	plainContext, err := m.private.Sign(nil, compiled(t, 13), &ed25519.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nonsense, err := m.private.Sign(nil, []byte("not a catalogue"), context)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"empty":                       {nil, ErrForged},
		"a captive portal's page":     {[]byte("<html>Accept our terms</html>"), ErrForged},
		"unsigned":                    {compiled(t, 13), ErrForged},
		"cut off":                     {good[:len(good)-20], ErrForged},
		"cut off at the signature":    {append(bytes.Clone(good[:30]), trailer...), ErrForged},
		"one bit changed":             {damaged, ErrForged},
		"another's key":               {newMaker(t).edition(t, 13), ErrForged},
		"signed for something else":   {bytes.Join([][]byte{compiled(t, 13), plainContext, []byte(trailer)}, nil), ErrForged},
		"signed, but not a catalogue": {bytes.Join([][]byte{[]byte("not a catalogue"), nonsense, []byte(trailer)}, nil), catalog.ErrNotCatalogue},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Install(tt.data, old(t), true); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if now := snapshot(t, s.Dir); now != before {
				t.Error("the directory changed")
			}
		})
	}
}

func snapshot(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", e.Name(), data)
	}
	return b.String()
}

// TestFallsBack: a current edition that cannot be read gives way to the one before, that to the built-in one, and the next
// update mends it all.
func TestFallsBack(t *testing.T) {
	m := newMaker(t)
	s := newStore(t, m)
	for _, v := range []uint64{12, 13} {
		if _, err := s.Install(m.edition(t, v), old(t), false); err != nil {
			t.Fatal(err)
		}
	}
	spoil := func(name string) {
		path := filepath.Join(s.Dir, name)
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, data[:len(data)/2], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil(current)
	if v, n := inForce(t, s); v != 12 || n != 1 {
		t.Errorf("version %d in force, %d problems", v, n)
	}
	// The broken one does not become the one to fall back to.
	if _, err := s.Install(m.edition(t, 14), old(t), false); err != nil {
		t.Fatal(err)
	}
	if v, n := inForce(t, s); v != 14 || n != 0 {
		t.Errorf("version %d in force, %d problems", v, n)
	}
	spoil(current)
	if v, _ := inForce(t, s); v != 12 {
		t.Errorf("version %d in force, want the last good one", v)
	}
	spoil(previous)
	if v, n := inForce(t, s); v != 10 || n != 2 {
		t.Errorf("version %d in force, %d problems", v, n)
	}
	if err := os.Remove(filepath.Join(s.Dir, current)); err != nil {
		t.Fatal(err)
	}
	if v, n := inForce(t, s); v != 10 || n != 1 {
		t.Errorf("version %d in force, %d problems", v, n)
	}
}

// TestNewProgramPrevails: after an update of the program, an edition that is older than what it carries is passed over.
func TestNewProgramPrevails(t *testing.T) {
	m := newMaker(t)
	s := newStore(t, m)
	if _, err := s.Install(m.edition(t, 12), old(t), false); err != nil {
		t.Fatal(err)
	}
	next, err := catalog.Decode(string(compiled(t, 20)))
	if err != nil {
		t.Fatal(err)
	}
	if c, errs := s.Load(next); c != next || len(errs) > 0 {
		t.Errorf("version %d in force, %v", c.Version(), errs)
	}
}

// TestDiskTrouble: what cannot be written changes nothing.
func TestDiskTrouble(t *testing.T) {
	m := newMaker(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Store{Dir: filepath.Join(file, "catalog"), Keys: []ed25519.PublicKey{m.public}}
	if _, err := s.Install(m.edition(t, 12), old(t), false); err == nil {
		t.Error("an edition was written below a file")
	}
	if v, _ := inForce(t, s); v != 10 {
		t.Errorf("version %d in force", v)
	}
}

func TestKeys(t *testing.T) {
	m := newMaker(t)
	if k, err := ParseKey(FormatKey(m.public)); err != nil || !k.Equal(m.public) {
		t.Errorf("a key does not survive its text: %v", err)
	}
	for _, bad := range []string{"", "abc", FormatKey(m.public)[:40], FormatKey(m.public) + "A"} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("key %q was accepted", bad)
		}
	}
	if k, err := Maintainer(); err != nil || len(k) != ed25519.PublicKeySize {
		t.Errorf("the built-in key: %v", err)
	}
	for _, bad := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParsePrivateKey([]byte(bad)); err == nil {
			t.Errorf("private key %q was accepted", bad)
		}
	}
	if _, err := Sign([]byte("nonsense"), m.private); !errors.Is(err, catalog.ErrNotCatalogue) {
		t.Errorf("nonsense was signed: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	m := newMaker(f)
	good := m.edition(f, 12)
	f.Add(good)
	f.Add([]byte(trailer))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Open(data, []ed25519.PublicKey{m.public}); err == nil && !bytes.Equal(data, good) {
			t.Fatal("what nobody signed was accepted")
		}
	})
}
