//go:build images

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrials upgrades a card three times: to a system that does not come up, to one whose router does not, and to one that is good. The
// bad ones are left by themselves.
func TestTrials(t *testing.T) {
	b := newBoard(t, 2<<30)
	b.update = filepath.Join(b.dir, "update.slot")
	for _, tt := range []struct {
		name   string
		change func(dir string)
		stays  bool
	}{
		{"a root that cannot be read", func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, "root.squashfs"), []byte("this is no file system"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a router that does not start", func(dir string) {
			name := filepath.Join(dir, "cmdline.txt")
			line, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(strings.TrimSpace(string(line))+" systemd.mask=trenza.service\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a good one", func(string) {}, true},
	} {
		b.pack(tt.change)
		if slot := b.start(); slot != 2 {
			t.Fatalf("%s: slot %d started", tt.name, slot)
		}
		h := b.newHost()
		h.waitForPage()
		b.ask("/usr/lib/trenza/slot install /dev/disk/by-id/virtio-update")
		b.ask("/usr/lib/trenza/slot try")
		b.restarted(patience)
		if slot := b.start(); slot != 3 {
			t.Fatalf("%s: slot %d is tried", tt.name, slot)
		}
		if tt.stays {
			h.waitForPage()
			b.wait(patience, "the new system is kept", func() error { return b.expectTrial("quiet 3") })
		} else {
			b.restarted(patience)
		}
		b.cut()
		want := 2
		if tt.stays {
			want = 3
		}
		if slot := b.start(); slot != want {
			t.Fatalf("%s: then slot %d starts", tt.name, slot)
		}
		h.waitForPage()
		if !tt.stays {
			b.wait(patience, "the old system knows", func() error { return b.expectTrial("fails 3") })
		}
		b.ask("sync")
		b.cut()
	}
}

func (b *board) expectTrial(want string) error {
	out, err := b.run("/usr/lib/trenza/slot status")
	if err == nil && !strings.Contains(out, want) {
		err = fmt.Errorf("%s", out)
	}
	return err
}

// pack makes the update: the card's own slot with a change, summed anew, as one archive.
func (b *board) pack(change func(dir string)) {
	b.t.Helper()
	dir := b.t.TempDir()
	b.tool("mcopy", "-s", "-n", "-i", fmt.Sprintf("%s@@%d", b.card, offset(2)), "::/*", dir)
	change(dir)
	if err := sumFolder(dir); err != nil {
		b.t.Fatal(err)
	}
	if err := packSlot(b.t.Context(), dir, b.update); err != nil {
		b.t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		b.t.Fatal(err)
	}
}
