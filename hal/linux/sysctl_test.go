package linux

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

func TestSysctlErrors(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		for what, c := range map[string]struct {
			key, value, says string
			want             error
		}{
			"a value that makes no sense": {"net/ipv4/ip_forward", "perhaps", "does not take this value", hal.ErrRefused},
			"a key that is only read":     {"kernel/ostype", "Trenza", "not permitted", hal.ErrPermission},
			"a key that is not there":     {"net/ipv4/nothing", "1", "no such key", hal.ErrNotFound},
		} {
			err := m.SetSysctl(c.key, c.value)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.key) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := m.SetSysctl("kernel/ostype", "Linux"); err != nil {
			t.Errorf("a value that is there already: %v", err)
		}
		if got, err := m.Sysctl("kernel/ostype"); err != nil || got != "Linux" {
			t.Errorf("kernel/ostype is %q, %v", got, err)
		}
	})
}

func TestSysctlRoot(t *testing.T) {
	proc := t.TempDir()
	file := filepath.Join(proc, "sys/net/ipv4/ip_forward")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{Proc: proc})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetSysctl("net/ipv4/ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "1\n" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if _, err := New(Options{Proc: "proc"}); err == nil {
		t.Error("a relative path was taken")
	}
}
