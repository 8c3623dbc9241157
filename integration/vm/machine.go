package vm

import (
	"fmt"
	"strconv"
	"strings"
)

// program is the emulator. Guests are amd64 on every host.
const program = "qemu-system-x86_64"

// machine describes one guest for qemu.
type machine struct {
	image    *Image
	accel    string // qemu's words for the accelerator
	memory   int    // MiB
	append   string // further kernel parameters
	serial   string // qemu's backend for the console
	job      string // folder with the job
	result   string // folder that the guest may write to
	checkout string
	channel  string // file that takes what the job prints; "" for none
	control  string // path of the control channel's socket; "" for none
	disk     string // path of a raw image; "" for no disk
}

// args returns qemu's command line. One processor: a second makes an emulated guest slower, and takes a processor from the host. Four
// levels of page tables: a fifth is a fifth look for the emulator, too.
func (m machine) args() []string {
	args := []string{
		"-M", "q35", "-accel", m.accel, "-cpu", "max,la57=off", "-smp", "1", "-m", strconv.Itoa(m.memory),
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", m.serial,
		"-kernel", m.image.kernel(), "-initrd", m.image.initramfs(),
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check " + m.append,
	}
	if m.job == "" {
		return args
	}
	args = append(args, "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
		"-device", "qemu-xhci,id=usb")
	for _, s := range []struct{ tag, path, more string }{
		{"root", m.image.Root(), ",readonly=on"}, {"job", m.job, ",readonly=on"},
		{"repository", m.checkout, ",readonly=on"}, {"result", m.result, ""},
	} {
		args = append(args, "-virtfs", fmt.Sprintf("local,mount_tag=%s,path=%s,security_model=none,multidevs=remap%s", s.tag, s.path, s.more))
	}
	if m.channel != "" {
		args = append(args, "-chardev", "file,id=channel,path="+m.channel, "-device", "virtserialport,chardev=channel,name=trenza.output")
	}
	if m.disk != "" {
		args = append(args, "-drive", "file="+strings.ReplaceAll(m.disk, ",", ",,")+",format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk")
	}
	if m.control != "" {
		// The machine is its own client: what the guest writes to the port arrives at the monitor.
		args = append(args, "-chardev", "socket,id=monitor,server=on,wait=off,path="+m.control, "-mon", "chardev=monitor,mode=control",
			"-chardev", "socket,id=control,path="+m.control, "-device", "virtserialport,chardev=control,name=trenza.qmp")
	}
	return args
}
