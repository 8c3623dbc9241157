package software

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnknown says that the program came to this machine in no way that it knows, for example as a lone file.
var ErrUnknown = errors.New("this router was installed neither from a package nor as a card's image: put the new program where the old one is, by hand")

// A Manager is one way.
type Manager struct {
	Kind string // "card", "deb", "ipk" or "apk"
	// Arch is the machine's name in files of that kind; "" where they carry none.
	Arch string
	// Restarts says that the machine starts anew into what was installed.
	Restarts bool

	program string
	install []string // arguments before the file
	then    []string // arguments of a second call
}

// Options say where things are.
type Options struct {
	Root string   // of files that are looked at; "" is /
	Dpkg []string // further arguments of dpkg, for a root elsewhere
}

const slotProgram = "usr/lib/trenza/slot"

// Find tells how this machine got the router.
func Find(ctx context.Context, o Options) (Manager, error) {
	root := o.Root
	if root == "" {
		root = "/"
	}
	at := func(path string) string { return filepath.Join(root, path) }
	if line, err := os.ReadFile(at("proc/cmdline")); err == nil && strings.Contains(string(line), "trenza.slot=") {
		return Manager{Kind: "card", Restarts: true, program: at(slotProgram), install: []string{"install"}, then: []string{"try"}}, nil
	}
	switch {
	case exists(at("var/lib/dpkg/info/trenza.list")):
		arch, err := output(ctx, "dpkg", slices.Concat(o.Dpkg, []string{"--print-architecture"})...)
		// What an administrator changed in a configuration file stays, without a question that nobody answers.
		return Manager{Kind: "deb", Arch: arch, program: "dpkg", install: slices.Concat(o.Dpkg, []string{"--force-confdef", "--force-confold", "--install"})}, err
	case exists(at("usr/lib/opkg/info/trenza.control")):
		arch, err := installedArch(at("usr/lib/opkg/info/trenza.control"))
		return Manager{Kind: "ipk", Arch: arch, program: "opkg", install: []string{"install", "--force-downgrade"}}, err
	case exists(at("lib/apk/packages/trenza.list")):
		arch, err := output(ctx, "apk", "--print-arch")
		return Manager{Kind: "apk", Arch: arch, program: "apk", install: []string{"add", "--allow-untrusted"}}, err
	}
	return Manager{}, ErrUnknown
}

// File is the name of a release's file for this machine, with slashes.
func (m Manager) File(version string) string {
	switch m.Kind {
	case "card":
		return "trenza_" + version + "_rpi.slot"
	case "deb":
		return "trenza_" + version + "_" + m.Arch + ".deb"
	case "ipk":
		return "trenza_" + version + "-1_" + m.Arch + ".ipk"
	}
	return m.Arch + "/trenza-" + version + "-r1.apk"
}

// Install installs a file and returns what the programs printed. When they fail, the package manager's own state tells how far it went; a card's running
// slot is never touched.
func (m Manager) Install(ctx context.Context, file string) (string, error) {
	said, err := output(ctx, m.program, slices.Concat(m.install, []string{file})...)
	if err != nil || m.then == nil {
		return said, err
	}
	more, err := output(ctx, m.program, m.then...)
	return strings.TrimSpace(said + "\n" + more), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// installedArch reads the architecture that opkg recorded of the installed package: the machine may know several.
func installedArch(control string) (string, error) {
	text, err := os.ReadFile(control)
	if err != nil {
		return "", fmt.Errorf("reading what opkg knows of the installed package: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if arch, found := strings.CutPrefix(line, "Architecture:"); found {
			return strings.TrimSpace(arch), nil
		}
	}
	return "", fmt.Errorf("%s names no architecture", control)
}

// output runs a program and returns what it said, which is also in the error.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		return said, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, said)
	}
	return said, nil
}
