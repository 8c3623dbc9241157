package backup

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() Content {
	at := time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC)
	return Content{
		Made: at, Version: "1.2.3", Config: "links: []\n", Policy: "house: []\n",
		Users:   []User{{Name: "Rosa", Role: "admin", Password: "$argon2id$x", Made: at}},
		Devices: []Device{{Number: 4, ID: "tv", Name: "TV", MACs: []string{"02:00:00:00:00:01"}, FirstSeen: at, LastSeen: at}},
		Days:    []Day{{At: at, Device: "tv", App: "youtube", Link: "fiber", Sums: [5]uint64{1, 2, 3, 4, 5}}},
	}
}

func secrets() Content {
	c := sample()
	c.Users[0].TOTP = []byte("totp-key")
	c.Secrets = map[string]File{"ca.key": File("authority"), "ca.pem": File("cert"), "relay/bond/bond.json": File("{}")}
	return c
}

func TestSealAndOpen(t *testing.T) {
	const pass = "eleven slow canal boats"
	for name, c := range map[string]struct {
		content Content
		pass    string
	}{"plain": {sample(), ""}, "sealed": {secrets(), pass}} {
		file, err := Seal(c.content, c.pass)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := Open(file, c.pass)
		if d := cmp.Diff(c.content, got); d != "" || err != nil {
			t.Error(name, d, err)
		}
		for i := range file {
			damaged := bytes.Clone(file)
			damaged[i] ^= 1
			if c.pass != "" && i != 0 && i != len(sealedMagic) && i != len(sealedMagic)+saltSize && i != len(file)-1 {
				continue // each attempt costs a key
			}
			if _, err := Open(damaged, c.pass); err == nil {
				t.Errorf("%s: a flipped bit at %d is not noticed", name, i)
			}
		}
		if _, err := Open(file[:len(file)-1], c.pass); err == nil {
			t.Error(name, "a cut file is taken")
		}
	}
	sealed, err := Seal(secrets(), pass)
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]error{"": ErrNeedPass, "eleven slow canal boat": ErrPassphrase} {
		if _, err := Open(sealed, word); !errors.Is(err, want) {
			t.Errorf("with %q: %v", word, err)
		}
	}
	for _, plain := range []string{"authority", "totp-key", "Rosa", "house"} {
		if bytes.Contains(sealed, []byte(plain)) {
			t.Errorf("%s can be read in the file", plain)
		}
	}
	if _, err := Open([]byte("trenza-backup 2\nwhatever"), ""); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer file: %v", err)
	}
}

// TestSecretsAreNeverPlain: no way leads secrets into a file that anyone can read.
func TestSecretsAreNeverPlain(t *testing.T) {
	for name, c := range map[string]Content{"files": secrets(), "second factor": func() Content { c := secrets(); c.Secrets = nil; return c }()} {
		if _, err := Seal(c, ""); err == nil {
			t.Errorf("%s without a passphrase", name)
		}
		if _, err := Seal(c, "short"); !errors.Is(err, ErrShortPass) {
			t.Errorf("%s with a short passphrase: %v", name, err)
		}
	}
}

// TestStrangeContents: what a file says is looked at wholly before anything is done with it.
func TestStrangeContents(t *testing.T) {
	for name, spoil := range map[string]func(*Content){
		"a path out of the state directory": func(c *Content) { c.Secrets = map[string]File{"relay/../../etc": nil} },
		"a hidden file":                     func(c *Content) { c.Secrets = map[string]File{"relay/bond/.x": nil} },
		"another file of the router":        func(c *Content) { c.Secrets = map[string]File{"trenza.db": nil} },
		"a user twice":                      func(c *Content) { c.Users = append(c.Users, User{Name: "rosa"}) },
		"a device of no number":             func(c *Content) { c.Devices[0].Number = 0 },
		"a device twice":                    func(c *Content) { c.Devices = append(c.Devices, c.Devices[0]) },
		"an address that is none":           func(c *Content) { c.Devices[0].MACs = []string{"x"} },
		"an amount that no database holds":  func(c *Content) { c.Days[0].Sums[0] = 1 << 63 },
	} {
		c := sample()
		spoil(&c)
		if err := c.check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	plain, err := Seal(sample(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte(plainMagic))
	f.Add([]byte(sealedMagic))
	f.Fuzz(func(t *testing.T, file []byte) {
		if Sealed(file) {
			return // a key for each takes too long; the cipher stands before everything else
		}
		c, err := Open(file, "")
		if err != nil {
			return
		}
		if _, err := c.household(); err != nil {
			t.Errorf("opened, and no household: %v", err)
		}
	})
}

// FuzzDecode goes past the sum, which a fuzzer does not find.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"made":"2026-11-30T18:00:00Z","version":"1","config":"","policy":"","users":[{"name":"a","role":"admin","password":"x","made":"2026-11-30T18:00:00Z"}]}`))
	f.Add([]byte(`{"secrets":{"relay/a/b":"AA=="},"devices":[{"number":1,"id":"x","first":"2026-11-30T18:00:00Z","last":"2026-11-30T18:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := decode(text)
		if err != nil {
			return
		}
		if _, err := c.household(); err != nil {
			t.Errorf("decoded, and no household: %v", err)
		}
	})
}
