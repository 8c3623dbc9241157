package vm

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// suite is the guest's Debian: the one on which the modem's and the WiFi's programs were measured.
const suite = "bookworm"

// CacheEnv names the folder for images, in place of trenza-vm below the user's cache.
const CacheEnv = "TRENZA_VM_CACHE"

//go:embed image
var inputs embed.FS

// Image is a guest's kernel and root, read-only and shared by all guests.
type Image struct {
	dir  string
	lock *os.File
}

// Root is the folder of the root file system.
func (i *Image) Root() string { return filepath.Join(i.dir, "root") }

func (i *Image) kernel() string    { return filepath.Join(i.Root(), "boot/vmlinuz") }
func (i *Image) initramfs() string { return filepath.Join(i.Root(), "boot/initramfs") }

// Close lets others rebuild the image.
func (i *Image) Close() error { return i.lock.Close() }

// Ready returns the image for this version of its inputs, and builds it first if there is none. Others that want it
// meanwhile wait. A build that is broken off leaves nothing that is taken for an image.
func Ready(ctx context.Context, log *slog.Logger) (*Image, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	key, err := imageKey()
	if err != nil {
		return nil, err
	}
	image := &Image{dir: filepath.Join(cache, key)}
	if image.lock, err = openLock(image.dir); err != nil {
		return nil, err
	}
	if err := image.ready(ctx, cache, log); err != nil {
		return nil, errors.Join(err, image.lock.Close())
	}
	return image, nil
}

func (i *Image) ready(ctx context.Context, cache string, log *slog.Logger) error {
	for {
		if err := flock(i.lock, unix.LOCK_SH); err != nil {
			return err
		}
		if _, err := os.Stat(i.dir); err == nil {
			now := time.Now()
			return os.Chtimes(i.lock.Name(), now, now)
		}
		if err := flock(i.lock, unix.LOCK_EX); err != nil {
			return err
		}
		// Another may have built it between the two locks.
		if _, err := os.Stat(i.dir); err == nil {
			continue
		}
		if err := sweep(cache, time.Now().Add(-unused)); err != nil {
			return fmt.Errorf("remove old images: %w", err)
		}
		log.Info("building the virtual machine's image: about a minute", "folder", i.dir)
		if err := build(ctx, cache, i.dir); err != nil {
			return fmt.Errorf("build the virtual machine's image: %w", err)
		}
	}
}

// unused is how long an image stays that nobody runs: other checkouts may have other inputs.
const unused = 7 * 24 * time.Hour

// openLock opens the lock of an image's folder. The time of its file is that of the last use.
func openLock(image string) (*os.File, error) {
	f, err := os.OpenFile(image+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the image: %w", err)
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("lock %s: %w", f.Name(), err)
			}
			return nil
		}
	}
}

// cacheDir makes and returns the folder of everything that is kept between runs.
func cacheDir() (string, error) {
	dir := os.Getenv(CacheEnv)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache (set %s): %w", CacheEnv, err)
		}
		dir = filepath.Join(cache, "trenza-vm")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// imageKey is a hash of all that decides what the image holds. Newer versions of its packages do not: who wants them
// deletes the cache.
func imageKey() (string, error) {
	h := sha256.New()
	fmt.Fprint(h, suite)
	err := fs.WalkDir(inputs, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := inputs.ReadFile(path)
		fmt.Fprintf(h, "\n%s %d\n%s", path, len(text), text)
		return err
	})
	return "image-" + hex.EncodeToString(h.Sum(nil)[:8]), err
}

// sweep removes the images that were not used since a time and are not in use now, and what broken builds left then.
func sweep(cache string, since time.Time) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(cache, e.Name())
		info, err := e.Info()
		if err != nil || info.ModTime().After(since) {
			continue
		}
		image, isLock := strings.CutSuffix(path, ".lock")
		switch {
		case isLock:
			err = sweepImage(image)
		case strings.HasPrefix(e.Name(), "building-"):
			err = os.RemoveAll(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepImage removes an image unless somebody uses it. Its lock stays: another may be about to take it.
func sweepImage(image string) error {
	lock, err := openLock(image)
	if err != nil {
		return err
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	return os.RemoveAll(image)
}

// build makes the image beside its place and moves it there when it is whole.
func build(ctx context.Context, cache, place string) error {
	work, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what stays is in the way of nobody
	if err := os.CopyFS(work, inputs); err != nil {
		return fmt.Errorf("write the inputs: %w", err)
	}
	packages, err := inputs.ReadFile("image/packages")
	if err != nil {
		return err
	}
	in, root, tar := filepath.Join(work, "image"), filepath.Join(work, "root"), filepath.Join(work, "root.tar")
	// By way of an archive: so it is the same for root and for a user, who owns all files of his image.
	err = command(ctx, work, "mmdebstrap", "--quiet", "--variant=apt",
		"--include="+strings.Join(packageList(string(packages)), ","),
		"--architectures=amd64",
		"--dpkgopt=force-unsafe-io", `--aptopt=Apt::Install-Recommends "false"`, `--aptopt=APT::Sandbox::User "root"`,
		"--customize-hook=upload "+filepath.Join(in, "init.sh")+" /init",
		"--customize-hook=upload "+filepath.Join(in, "setup.sh")+" /setup.sh",
		`--customize-hook=chroot "$1" sh /setup.sh`,
		`--customize-hook=rm "$1/setup.sh"`,
		suite, tar)
	if err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	// Devices come from the guest's kernel, and only the machine's root could make them.
	if err := command(ctx, work, "tar", "-C", root, "--exclude=./dev/*", "-xf", tar); err != nil {
		return err
	}
	if err := os.Remove(tar); err != nil {
		return err
	}
	return os.Rename(work, place)
}

// packageList reads image/packages: words, with comments.
func packageList(text string) (names []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, strings.Fields(line)...)
	}
	return names
}

// command runs a program and tells what it said if it fails.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", name, err, tail(string(out), 30))
	}
	return nil
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
