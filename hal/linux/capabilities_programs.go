package linux

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/trenza-router/trenza/hal"
)

// programs are what links by hardware need of the machine's packages. A router whose links are all named by their device needs none of them.
func programs() []struct{ program, pkg, what, instead string } {
	return []struct{ program, pkg, what, instead string }{
		{"NetworkManager", "network-manager", "WiFi networks as links, PPPoE sessions, VLANs", "links by device, which another program configures"},
		{"ModemManager", "modemmanager", "3G/LTE modems as links", "sticks that play a network of their own, which need nothing"},
		{"wpa_supplicant", "wpasupplicant", "locked WiFi networks", "no WiFi links"},
		{"pppd", "ppp", "PPPoE sessions, and modems that dial", "Ethernet links, and modems with a network interface"},
	}
}

// services tells which programs of the link devices are installed. Whether a service runs is for its clients to find out.
func services() []hal.Capability {
	var out []hal.Capability
	for _, p := range programs() {
		out = append(out, capability{Capability: hal.Capability{
			Name: "link-" + p.pkg, What: p.what, Instead: p.instead, Fix: "install the package " + p.pkg + ", if there shall be such links",
		}}.settle(installed(p.program)))
	}
	return out
}

// installed looks for a program in the path, and where daemons are, which a person's path may lack.
func installed(program string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("there is no program %s", program)
}
