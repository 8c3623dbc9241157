package minisign

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func newKey(t testing.TB) PrivateKey {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysAreReadBack(t *testing.T) {
	k := newKey(t)
	private, err := ParsePrivateKey([]byte(k.Format()))
	if err != nil || !private.Key.Equal(k.Key) || private.ID != k.ID {
		t.Errorf("secret key: %v, %v", private.ID, err)
	}
	public, err := ParsePublicKey([]byte(k.Public().Format()))
	if err != nil || !public.Key.Equal(k.Public().Key) || public.ID != k.ID {
		t.Errorf("public key: %v, %v", public.ID, err)
	}
	if _, err := ParsePublicKey([]byte(strings.Split(k.Public().Format(), "\n")[1])); err != nil {
		t.Errorf("the second line alone: %v", err)
	}
	damaged := []byte(k.Format())
	damaged[len(damaged)-100] ^= 1
	if _, err := ParsePrivateKey(damaged); err == nil {
		t.Error("a damaged secret key is taken")
	}
}

func TestVerify(t *testing.T) {
	k := newKey(t)
	data := []byte("a release")
	text, err := k.Sign(data, "trenza 1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if comment, err := k.Public().Verify(data, []byte(text)); err != nil || comment != "trenza 1.2.3" {
		t.Errorf("%q, %v", comment, err)
	}
	lines := strings.Split(text, "\n")
	cut := func(n int) string { return strings.Join(lines[:n], "\n") }
	sameID := newKey(t)
	sameID.ID = k.ID
	stranger, err := sameID.Sign(data, "trenza 1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty": "", "a page": "<html></html>", "cut": cut(3), "another comment": strings.Replace(text, "1.2.3", "9.9.9", 1),
		"not prehashed": strings.Replace(text, "\nRU", "\nRW", 1), "another's key of the same name": stranger,
	} {
		if _, err := k.Public().Verify(data, []byte(bad)); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := k.Public().Verify([]byte("another"), []byte(text)); !errors.Is(err, ErrForged) {
		t.Errorf("other data: %v", err)
	}
	if _, err := newKey(t).Public().Verify(data, []byte(text)); !errors.Is(err, ErrForged) {
		t.Errorf("another key: %v", err)
	}
	if _, err := k.Sign(data, "two\nlines"); err == nil {
		t.Error("a comment of two lines is signed")
	}
}

// TestMinisign: the program minisign takes our keys and signatures, and we take its.
func TestMinisign(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	minisign := func(args ...string) {
		t.Helper()
		cmd := exec.Command("minisign", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("minisign %v: %v\n%s", args, err, out)
		}
	}
	k := newKey(t)
	text, err := k.Sign([]byte("data"), "ours")
	if err != nil {
		t.Fatal(err)
	}
	write("data", "data")
	write("key.pub", k.Public().Format())
	write("key", k.Format())
	write("data.minisig", text)
	minisign("-V", "-m", in("data"), "-p", in("key.pub"))
	// Its signature, by our key and by one of its own.
	minisign("-S", "-H", "-W", "-s", in("key"), "-m", in("data"), "-t", "theirs")
	theirs, err := os.ReadFile(in("data.minisig"))
	if err != nil {
		t.Fatal(err)
	}
	if comment, err := k.Public().Verify([]byte("data"), theirs); err != nil || comment != "theirs" {
		t.Errorf("%q, %v", comment, err)
	}
	minisign("-G", "-W", "-p", in("own.pub"), "-s", in("own"))
	own, err := os.ReadFile(in("own"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePrivateKey(own); err != nil {
		t.Error(err)
	}
}

// FuzzVerify: nobody's text is taken for a signature, or a key, without being one.
func FuzzVerify(f *testing.F) {
	k := newKey(f)
	text, err := k.Sign([]byte("data"), "comment")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(text))
	f.Add([]byte(k.Format()))
	f.Add([]byte(k.Public().Format()))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := k.Public().Verify([]byte("other data"), text); err == nil {
			t.Fatal("taken")
		}
		if p, err := ParsePublicKey(text); err == nil {
			if again, err := ParsePublicKey([]byte(p.Format())); err != nil || again.ID != p.ID {
				t.Fatalf("%v, %v", again, err)
			}
		}
		if p, err := ParsePrivateKey(text); err == nil && len(p.Key) != 64 {
			t.Fatal("a key of another size")
		}
	})
}
