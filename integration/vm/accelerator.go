package vm

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	kvm = "kvm"
	// A large cache of translated code: Go programs have a lot of it.
	tcg = "tcg,thread=multi,tb-size=512"
)

// slowness is what an emulated guest is told about itself (SlownessEnv): how much longer things take that depend on the machine's speed. Its
// processor is ten to twenty times slower than the host's; its clock and its timers are not.
const slowness = "5"

// SlownessEnv is the variable by which tests know how slow the machine is: a factor; without it 1.
const SlownessEnv = "TRENZA_SLOWNESS"

// probeTime is how long a guest may take to its first process with the processor's own virtualisation, which is a second or two.
const probeTime = 15 * time.Second

// Accelerator returns how guests are run on this machine: with the processor's own virtualisation, if a guest really starts with it,
// or emulated, about fifteen times slower. There are machines on which KVM opens and then hangs; so it is tried, once in each
// start of the host.
func (i *Image) Accelerator(ctx context.Context, log *slog.Logger) string {
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
		return tcg
	} else {
		f.Close()
	}
	known := ""
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		known = filepath.Join(filepath.Dir(i.dir), "accelerator-"+strings.TrimSpace(string(id)))
		if found, err := os.ReadFile(known); err == nil {
			return string(found)
		}
	}
	found := tcg
	if i.starts(ctx, kvm) {
		found = kvm
	} else {
		log.Info("no guest starts with KVM here: guests are emulated")
	}
	if known != "" && ctx.Err() == nil {
		_ = os.WriteFile(known, []byte(found), 0o644) // else it is tried again
	}
	return found
}

// starts tells whether a guest comes as far as its first process.
func (i *Image) starts(ctx context.Context, accel string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	m := machine{image: i, accel: accel, memory: 512, append: "vm.probe", serial: "stdio"}
	out, err := exec.CommandContext(ctx, program, m.args()...).Output()
	return err == nil && bytes.Contains(out, []byte("the machine works"))
}
