package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// programs are what the lab runs, and the Debian packages they come in.
var programs = []struct{ name, pkg string }{
	{"ip", "iproute2"},
	{"nft", "nftables"},
	{"dnsmasq", "dnsmasq-base"},
}

// ErrPrivileges says that this process may not make network namespaces.
var ErrPrivileges = errors.New("the lab needs root, or unprivileged user namespaces")

// Check says whether a lab can be built by this process: the programs are there
// (the error names the Debian packages of those that are not), and network
// namespaces and TAP devices may be made ([ErrPrivileges] if not; see [Enter]).
func Check() error {
	var missing, packages []string
	for _, p := range programs {
		if _, err := exec.LookPath(tool(p.name)); err != nil {
			missing = append(missing, p.name)
			packages = append(packages, p.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the lab needs the programs %s: apt-get install %s",
			strings.Join(missing, ", "), strings.Join(packages, " "))
	}
	if err := tryNamespace(); err != nil {
		return fmt.Errorf("%w: %w", ErrPrivileges, err)
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the lab needs TAP devices: %w: as root try `modprobe tun`, or without root ask for `chmod 0666 /dev/net/tun`", err)
	}
	return f.Close()
}

// tryNamespace makes a network namespace and lets it go again.
func tryNamespace() error {
	if err := onOwnThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) }); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	return nil
}
