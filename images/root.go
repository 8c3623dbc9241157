package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// root returns the archive of Debian's root, and makes it when there is none of these inputs. Newer versions of the same packages do not
// make it anew: who wants them deletes the cache.
func (b build) root(ctx context.Context, recipe string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"packages", "root.sh"} {
		text, err := os.ReadFile(filepath.Join(recipe, name))
		if err != nil {
			return "", fmt.Errorf("reading the recipe: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	archive := filepath.Join(b.cache, "root-"+hex.EncodeToString(h.Sum(nil)[:8])+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache: %w", err)
	}
	fmt.Fprintln(os.Stderr, "images: making Debian's root for arm64: 10 to 20 minutes under emulation, once")
	// Whole or not at all: a build that is broken off is not taken for a root.
	half := archive + ".half.tar"
	if err := inNamespace(ctx, recipe, "sh", "root.sh", "packages", half); err != nil {
		return "", fmt.Errorf("making Debian's root: %w", err)
	}
	if err := os.Rename(half, archive); err != nil {
		return "", fmt.Errorf("keeping Debian's root: %w", err)
	}
	return archive, nil
}

// ids is how many users and groups a root has: Debian's nobody is 65534.
const ids = 65536

// inNamespace runs a program as root of a user, mount and process namespace of its own. The machine's root maps its ids as they are;
// others take those that /etc/subuid gives them.
func inNamespace(ctx context.Context, dir, name string, args ...string) error {
	if os.Geteuid() != 0 {
		return command(ctx, dir, "unshare", append([]string{"--user", "--mount", "--pid", "--fork", "--map-root-user", "--map-auto", name}, args...)...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: ids}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true, Pdeathsig: syscall.SIGKILL,
	}
	return runIn(cmd, dir)
}

// command runs a program and tells what it said if it fails.
func command(ctx context.Context, dir, name string, args ...string) error {
	return runIn(exec.CommandContext(ctx, name, args...), dir)
}

func runIn(cmd *exec.Cmd, dir string) error {
	cmd.Dir = dir
	// Tools for disks are in sbin, which is not in everyone's path; mtools checks geometries that no card has.
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
		return fmt.Errorf("%s: %w:\n%s", filepath.Base(cmd.Path), err, strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
	return nil
}
