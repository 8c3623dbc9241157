//go:build images

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A board is an emulated machine with the card in it. It plays the Raspberry Pi's firmware: it reads autoboot.txt on the first partition, and starts the
// kernel, first file system and command line of the partition that is named there. From then on everything is the image's own.
type board struct {
	t    *testing.T
	dir  string
	card string
	// update is a file that the machine sees as a second disk; "": none.
	update string
	starts int

	http, https int // ports of this machine that lead to the router's
	process     *exec.Cmd
	ended       chan struct{}
	console     string // file with what the console said at this start
	shell       net.Conn
	answers     *bufio.Reader
	greeted     bool
	typing      sync.Mutex
}

// offset of a partition in the card, in bytes.
func offset(number int) int64 {
	at := int64(first)
	for _, p := range partitions()[:number-1] {
		at += p.size
	}
	return at * mib
}

// newBoard puts a copy of the built card, as large as size, into a machine.
func newBoard(t *testing.T, size int64) *board {
	built := os.Getenv("TRENZA_CARD")
	if built == "" {
		t.Fatal("TRENZA_CARD names no image: run make test-images")
	}
	b := &board{t: t, dir: t.TempDir()}
	b.card = filepath.Join(b.dir, "card.img")
	b.tool("cp", "--sparse=always", built, b.card)
	if err := os.Truncate(b.card, size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cut)
	return b
}

// tool runs a program of the building machine and returns what it printed.
func (b *board) tool(name string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("%s %q: %v: %s", name, args, err, errOut.String())
	}
	return string(out)
}

// file reads a file of a FAT partition.
func (b *board) file(partition int, name string) string {
	b.t.Helper()
	return b.tool("mcopy", "-n", "-i", fmt.Sprintf("%s@@%d", b.card, offset(partition)), "::/"+name, "-")
}

// firmwareChoice is what the Raspberry Pi's firmware does with autoboot.txt when nobody asked for "tryboot".
func (b *board) firmwareChoice() int {
	b.t.Helper()
	text := b.file(1, "autoboot.txt")
	m := regexp.MustCompile(`(?s)^\[all\]\n.*?boot_partition=([23])\n`).FindStringSubmatch(text)
	if m == nil {
		b.t.Fatalf("autoboot.txt is not one that a board would follow:\n%s", text)
	}
	return int(m[1][0] - '0')
}

// start switches the machine on, with the slot that the firmware would take, and returns its number.
func (b *board) start() int {
	b.t.Helper()
	b.starts++
	slot := b.firmwareChoice()
	kernel, initramfs := filepath.Join(b.dir, "vmlinuz"), filepath.Join(b.dir, "initramfs")
	for name, to := range map[string]string{"vmlinuz": kernel, "initramfs": initramfs} {
		b.tool("mcopy", "-n", "-o", "-i", fmt.Sprintf("%s@@%d", b.card, offset(slot)), "::/"+name, to)
	}
	// The board's consoles are not the emulated machine's; the shell is systemd's own for debugging, on a port of the test's.
	line := regexp.MustCompile(`console=\S+`).ReplaceAllString(strings.TrimSpace(b.file(slot, "cmdline.txt")), "")
	line += " console=ttyAMA0 systemd.debug_shell=hvc0 trenza.patience=600"
	b.http, b.https = freePort(b.t), freePort(b.t)
	b.console = filepath.Join(b.dir, fmt.Sprintf("console-%d", b.starts))
	socket := filepath.Join(b.dir, fmt.Sprintf("shell-%d", b.starts))
	args := []string{
		"-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "file:" + b.console,
		"-kernel", kernel, "-initrd", initramfs, "-append", line,
		"-drive", "file=" + b.card + ",format=raw,if=none,id=card", "-device", "virtio-blk-device,drive=card",
		// The house: its only host is this machine. restrict lets nothing else out.
		"-netdev", fmt.Sprintf("user,id=house,restrict=on,net=192.168.83.0/24,host=192.168.83.2,hostfwd=tcp:127.0.0.1:%d-192.168.83.1:80,hostfwd=tcp:127.0.0.1:%d-192.168.83.1:443", b.http, b.https),
		"-device", "virtio-net-device,netdev=house",
		// A stick with a network of its own; there is no internet behind it.
		"-netdev", "user,id=stick,restrict=on,net=192.168.8.0/24", "-device", "qemu-xhci", "-device", "usb-net,netdev=stick",
		"-chardev", "socket,id=shell,server=on,wait=off,path=" + socket, "-device", "virtio-serial-device", "-device", "virtconsole,chardev=shell",
		"-device", "virtio-rng-device",
	}
	if b.update != "" {
		args = append(args, "-drive", "file="+b.update+",format=raw,if=none,id=update,readonly=on", "-device", "virtio-blk-device,drive=update,serial=update")
	}
	b.process = exec.Command("qemu-system-aarch64", args...)
	var said bytes.Buffer
	b.process.Stderr = &said
	if err := b.process.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended, process := make(chan struct{}), b.process
	go func() {
		_ = process.Wait() // how it ends is told by the card
		close(ended)
	}()
	b.ended = ended
	b.wait(time.Minute, "the emulator opens the shell's socket", func() error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		b.shell, b.answers, b.greeted = conn, bufio.NewReader(conn), false
		return nil
	})
	return slot
}

// cut takes the power away.
func (b *board) cut() {
	if b.process == nil {
		return
	}
	_ = b.process.Process.Kill() // it may have ended by itself
	<-b.ended
	b.process = nil
	_ = b.shell.Close() // the other end is gone
}

// restarted waits until the machine restarts by itself.
func (b *board) restarted(patience time.Duration) {
	b.t.Helper()
	select {
	case <-b.ended:
		b.cut()
	case <-time.After(patience):
		b.t.Fatalf("the machine did not restart within %v\n%s", patience, b.said())
	}
}

// said is the end of what the console said.
func (b *board) said() string {
	text, err := os.ReadFile(b.console)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// run has the machine's root run a command line, and returns what it printed.
func (b *board) run(command string) (string, error) {
	b.typing.Lock()
	defer b.typing.Unlock()
	if err := b.greet(); err != nil {
		return "", err
	}
	if err := b.shell.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return "", err
	}
	// The marks are put together by the shell, so that the echo of what is typed is not taken for them.
	if _, err := fmt.Fprintf(b.shell, "\x15echo be''gun; (%s) </dev/null 2>&1; echo en''ded $?\n", command); err != nil {
		return "", err
	}
	var lines []string
	running := false
	for {
		line, err := b.answers.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n"), fmt.Errorf("%s: %w", command, err)
		}
		line = strings.TrimRight(line, "\r\n")
		switch code, done := strings.CutPrefix(line, "ended "); {
		case strings.HasSuffix(line, "begun"):
			running = true
		case running && done && code == "0":
			return strings.Join(lines, "\n"), nil
		case running && done:
			return strings.Join(lines, "\n"), fmt.Errorf("%s: exit code %s:\n%s", command, code, strings.Join(lines, "\n"))
		case running:
			lines = append(lines, line)
		}
	}
}

// greet waits, once in a start, for a shell that answers: what is typed before it is there is lost.
func (b *board) greet() error {
	for tries := 0; !b.greeted; tries++ {
		if err := b.shell.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := fmt.Fprint(b.shell, "\x15echo he''llo\n"); err != nil {
			return err
		}
		line := ""
		var err error
		for err == nil && !strings.HasSuffix(strings.TrimRight(line, "\r\n"), "hello") {
			line, err = b.answers.ReadString('\n')
		}
		b.greeted = err == nil
		if err != nil && tries == 30 {
			return fmt.Errorf("the machine's shell does not answer: %w", err)
		}
	}
	return nil
}

// ask is run for commands that must work.
func (b *board) ask(command string) string {
	b.t.Helper()
	out, err := b.run(command)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.said())
	}
	return out
}

// wait asks until the answer is nil.
func (b *board) wait(patience time.Duration, what string, f func() error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-b.ended:
			b.t.Fatalf("the machine ended while it was waited for: %s: %v\n%s", what, err, b.said())
		case <-ctx.Done():
			b.t.Fatalf("not within %v: %s: %v\n%s", patience, what, errors.Join(err, ctx.Err()), b.said())
		case <-time.After(time.Second):
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
