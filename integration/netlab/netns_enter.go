package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// unprivilegedEnv marks the process that Enter started in a user namespace, and
// tells it the user's number outside.
const unprivilegedEnv = "TRENZA_LAB_USERNS"

// Enter makes a lab possible for a user who is not root: it runs this program
// again, with the same arguments, as root of a new user namespace with a mount
// namespace of its own. It stays in the machine's network namespace, so that
// [Lab.Expose] works. Call it first thing in the program's lab command.
//
// It returns done = false if the caller shall go on: it has the rights already
// (root), or is the process in the user namespace, which by now has private /run/netns and
// /etc/netns. Otherwise the lab has run in the other process and code is its
// exit code. The error is ErrPrivileges with the reason if the system allows
// neither.
func Enter() (done bool, code int, err error) {
	if os.Getenv(unprivilegedEnv) != "" {
		return false, 0, prepareMounts()
	}
	if tryNamespace() == nil {
		return false, 0, nil
	}
	self, err := os.Executable()
	if err != nil {
		return true, 1, fmt.Errorf("find this program's file: %w", err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), unprivilegedEnv+"="+strconv.Itoa(os.Getuid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	// A Ctrl-C at the terminal reaches both processes; the child is the one that
	// ends the lab, and this one only waits for it.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return true, 1, fmt.Errorf("%w: start in a user namespace: %w (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns decide it)", ErrPrivileges, err)
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM {
				_ = cmd.Process.Signal(s) // gone already: Wait says so
			}
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return true, exit.ExitCode(), nil
	}
	if err != nil {
		return true, 1, fmt.Errorf("run in a user namespace: %w", err)
	}
	return true, 0, nil
}

// prepareMounts gives this process, in its own mount namespace, a /run and an
// /etc in which it may make netns folders: copies of what is there, entry by
// entry, on a file system in memory.
func prepareMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate this process's mounts: %w", err)
	}
	for _, dir := range []string{"/run", "/etc"} {
		if err := shadow(dir); err != nil {
			return fmt.Errorf("make a private %s: %w", dir, err)
		}
	}
	for _, dir := range []string{netnsDir, netnsEtcDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	return nil
}

// shadow mounts over dir a folder in memory that shows the same entries, less
// the netns folder.
func shadow(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp("", "trenza-lab-")
	if err != nil {
		return err
	}
	defer os.Remove(stage)
	if err := unix.Mount("tmpfs", stage, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "netns" {
			continue
		}
		if err := mirror(filepath.Join(dir, e.Name()), filepath.Join(stage, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return unix.Mount(stage, dir, "", unix.MS_MOVE, "")
}

// mirror makes one entry appear at another path: a link as a link, all else by a
// bind mount.
func mirror(from, to string, kind os.FileMode) error {
	switch {
	case kind&os.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case kind.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	default:
		f, err := os.Create(to)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	if errors.Is(err, unix.ENOENT) { // others come and go in /run
		return os.Remove(to)
	}
	if err != nil {
		return fmt.Errorf("show %s: %w", from, err)
	}
	return nil
}
