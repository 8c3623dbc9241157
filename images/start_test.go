//go:build images

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/store"
)

// TestFirstStart flashes a card of 2 GiB, switches the machine on, and sets the router up from a host of the household.
func TestFirstStart(t *testing.T) {
	b := newBoard(t, 2<<30)
	began := time.Now()
	if slot := b.start(); slot != 2 {
		t.Fatalf("a fresh card starts slot %d", slot)
	}
	h := b.newHost()
	h.waitForPage()
	t.Logf("page after %v", time.Since(began).Round(time.Second))

	// What the console shows leads into the house, and nobody else sees it.
	ssid := b.ask(`sed -n 's/^ssid=//p' /etc/trenza/hostapd.conf`)
	password := b.ask(`sed -n 's/^wpa_passphrase=//p' /etc/trenza/hostapd.conf`)
	if !strings.HasPrefix(ssid, "Trenza-") || len(password) != 12 {
		t.Errorf("access point %q, password of %d letters", ssid, len(password))
	}
	b.wait(patience, "the console shows the password", func() error {
		text, err := os.ReadFile(b.console)
		if err == nil && (!strings.Contains(string(text), password) || !strings.Contains(string(text), ssid) || !strings.Contains(string(text), "▄")) {
			err = fmt.Errorf("not there")
		}
		return err
	})
	if n := b.ask("journalctl --no-pager | grep -c " + password + " || true"); n != "0" {
		t.Errorf("the journal has the password in %s lines", n)
	}

	h.setUp()
	if _, err := h.do("GET", secure+"/api/v1/status", "", "", http.StatusOK); err != nil {
		t.Error(err)
	}
	h.token = ""
	if _, err := h.do("POST", plain+"/api/v1/setup/admin", "application/json", `{"name": "eve", "password": "another set of words 17"}`, http.StatusOK); err == nil {
		t.Error("a stranger could make a second first admin")
	}

	b.wait(patience, "all services are up", func() error {
		out, err := b.run("systemctl is-system-running || systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend")
		if err == nil && strings.TrimSpace(out) != "running" {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
	t.Logf("all services after %v, %d MiB in use", time.Since(began).Round(time.Second), memoryInUse(t, b))
	if got := memoryInUse(t, b); got > 200 {
		t.Errorf("%d MiB of memory in use after the start", got)
	}
	if out, err := b.run("trenza doctor"); err != nil || strings.Contains(out, "MISSING") {
		t.Errorf("the doctor: %v\n%s", err, out)
	}
	if out := b.ask("trenza status"); !strings.Contains(out, "stick") {
		t.Errorf("the stick is no link:\n%s", out)
	}
	for what, command := range map[string]string{
		"the root is written":                    "! touch /usr/bin/x",
		"the data partition did not grow":        "[ $(df --output=size --block-size=1M /data | tail -n 1) -gt 500 ]",
		"the journal is on the card":             "! [ -d /var/log/journal ] && journalctl --header | grep -q /run/log/journal",
		"the machine has no name of its own":     "[ $(wc -c </etc/machine-id) = 33 ] && cmp -s /etc/machine-id /data/machine-id",
		"the password can be read by everyone":   "[ $(stat -c %a /etc/trenza/hostapd.conf) = 600 ]",
		"there are no addresses for the house":   "for n in $(seq 60); do pgrep -x dnsmasq && exit; sleep 1; done; exit 1",
		"root has a password":                    "grep -q '^root:[*!]' /etc/shadow",
		"something of the build is left":         "! ls /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap 2>/dev/null",
		"the watchdog of the board is not asked": "systemctl show -p RuntimeWatchdogUSec | grep -q 14s",
	} {
		if out, err := b.run(command); err != nil {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}

	// Everything is there again after the power was cut, and the setup is over.
	b.cut()
	b.start()
	h.waitForPage()
	if _, err := h.do("GET", plain+"/api/v1/setup", "", "", http.StatusOK); err == nil {
		t.Error("after a power cut the router is open to whoever comes first")
	}
	if again := b.ask(`sed -n 's/^wpa_passphrase=//p' /etc/trenza/hostapd.conf`); again != password {
		t.Error("the access point has another password after a power cut")
	}
}

var (
	cuts = flag.Int("cuts", 5, "how often the power is cut while rules are written")
	seed = flag.Uint64("seed", 0, "decides the moments of the cuts; 0 draws one")
)

// TestPowerCut kills the machine at random while rules are written: it always starts again, with the last rules that it confirmed.
func TestPowerCut(t *testing.T) {
	b := newBoard(t, 2<<30)
	b.start()
	h := b.newHost()
	h.waitForPage()
	h.setUp()
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d: the same moments again by -seed", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	number, confirmed := 0, -1
	for cut := range *cuts {
		end := time.Now().Add(time.Duration(2000+random.IntN(10000)) * time.Millisecond)
		power := time.AfterFunc(time.Until(end), func() { _ = b.process.Process.Kill() })
		for {
			number++
			if err := h.setPolicy(number); err != nil {
				if time.Now().Before(end) {
					t.Fatalf("before cut %d: %v", cut+1, err)
				}
				break
			}
			confirmed = number
		}
		power.Stop()
		b.cut()
		b.checkData()
		b.start()
		h.waitForPage()
		var text string
		b.wait(patience, "the rules can be read", func() (err error) {
			_, text, err = h.policy()
			return err
		})
		// The one that was on its way may have been kept, too.
		if confirmed > 0 && !strings.Contains(text, fmt.Sprintf("rule-%d,", confirmed)) && !strings.Contains(text, fmt.Sprintf("rule-%d\n", confirmed)) &&
			!strings.Contains(text, fmt.Sprintf("rule-%d", number)) {
			t.Fatalf("cut %d: rule %d was confirmed, and after the cut there is:\n%s", cut+1, confirmed, text)
		}
		t.Logf("cut %d: rule %d was confirmed and is there", cut+1, confirmed)
	}
}

// checkData looks into a copy of the data partition as it was left: a file system that its journal mends, and a database in one piece.
func (b *board) checkData() {
	b.t.Helper()
	part, dir := filepath.Join(b.dir, "data.part"), b.t.TempDir()
	b.tool("dd", "if="+b.card, "of="+part, "bs=1M", fmt.Sprintf("skip=%d", offset(4)/mib), "conv=sparse", "status=none")
	defer os.Remove(part)
	b.tool("sh", "-c", `PATH=$PATH:/usr/sbin:/sbin; e2fsck -p "$1" >&2; [ $? -le 1 ]`, "sh", part)
	b.tool("debugfs", "-R", "rdump /var/lib/trenza "+dir, part)
	found, err := filepath.Glob(filepath.Join(dir, "trenza", "*.db"))
	if err != nil || len(found) != 1 {
		b.t.Fatalf("databases: %v, %v", found, err)
	}
	s, err := store.Open(b.t.Context(), store.Options{Path: found[0]})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	if st := s.Status(); st.Broken != "" || st.Memory || st.Problem != nil {
		b.t.Fatalf("the database after the cut: %+v", st)
	}
}
