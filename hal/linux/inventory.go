package linux

import (
	"cmp"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// Inventory lists the devices that can be links as sysfs shows them, without what only their owners know. root is the mount point of
// sysfs. Serial-only modems are not among them, nor are the network devices that belong to a modem: those are for ModemManager to tell.
func Inventory(root string) ([]hal.LinkDevice, error) {
	entries, err := os.ReadDir(filepath.Join(root, "class/net"))
	if err != nil {
		return nil, fmt.Errorf("listing the network devices: %w", err)
	}
	var out []hal.LinkDevice
	places := map[string]bool{}
	for _, e := range entries {
		d, ok := sysDevice{filepath.Join(root, "class/net", e.Name())}.describe()
		if !ok {
			continue
		}
		if places[d.ID] { // a second port of one adapter
			d.ID += ":" + d.Name
		}
		places[d.ID] = true
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b hal.LinkDevice) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// sysDevice is a network device's folder in sysfs.
type sysDevice struct{ dir string }

// Types of linux/if_arp.h.
const (
	arpEther = "1"
	arpPPP   = "512"
)

// stickDrivers are those of USB devices that play a network of their own. Adapters for cables have drivers of their makers' chips.
func stickDrivers() []string {
	return []string{"cdc_ether", "rndis_host", "cdc_ncm", "huawei_cdc_ncm", "cdc_eem", "ipheth"}
}

// describe tells what the device is; false when it can be no link.
func (s sysDevice) describe() (hal.LinkDevice, bool) {
	d := hal.LinkDevice{Name: filepath.Base(s.dir), ID: "net-" + filepath.Base(s.dir), State: hal.LinkOff}
	if hw, err := net.ParseMAC(s.read("address")); err == nil && len(hw) == 6 {
		d.MAC = flow.MAC(hw)
	}
	d.MTU, _ = strconv.Atoi(s.read("mtu")) // 0: not said
	kind := s.uevent("DEVTYPE")
	place, err := filepath.EvalSymlinks(filepath.Join(s.dir, "device"))
	switch {
	case s.read("type") == arpPPP:
		d.Kind = hal.LinkPPP
	case s.read("type") != arpEther:
		return d, false
	case kind == "vlan":
		d.Kind = hal.LinkVLAN
		lower, _ := filepath.Glob(filepath.Join(s.dir, "lower_*"))
		if len(lower) == 1 {
			d.Parent = strings.TrimPrefix(filepath.Base(lower[0]), "lower_")
		}
		// The tag is not in sysfs; the name says it, in the form that `ip link` and NetworkManager give.
		_, tag, _ := strings.Cut(d.Name, ".")
		d.Tag, _ = strconv.Atoi(tag)
	case kind == "wwan" || err == nil && s.modemPart(place):
		return d, false
	case kind == "wlan" || s.has("phy80211"):
		d.Kind = hal.LinkWiFi
	case err == nil:
		d.Kind = hal.LinkEthernet
		if driver, err := os.Readlink(filepath.Join(place, "driver")); err == nil && slices.Contains(stickDrivers(), filepath.Base(driver)) {
			d.Kind = hal.LinkStick
		}
	case kind == "" && s.read("iflink") != s.read("ifindex") && !s.has("bridge") && !s.has("tun_flags"):
		d.Kind = hal.LinkEthernet // one end of a pair, as a container has
	default:
		return d, false
	}
	if err == nil {
		d.ID, d.Model = placeOf(place)
	}
	if s.read("carrier") == "1" {
		d.State = hal.LinkConnected
	}
	return d, true
}

func (s sysDevice) has(name string) bool {
	_, err := os.Stat(filepath.Join(s.dir, name))
	return err == nil
}

// read is a file's one line; "" when it cannot be read, as the carrier of a device that is switched off.
func (s sysDevice) read(name string) string { return readLine(filepath.Join(s.dir, name)) }

func readLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (s sysDevice) uevent(key string) string {
	for line := range strings.Lines(s.read("uevent")) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), "="); k == key {
			return v
		}
	}
	return ""
}

var (
	usbPort = regexp.MustCompile(`^\d+-\d+(\.\d+)*$`)
	pciSlot = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$`)
)

// usbDevice is the folder of the USB device that a folder of sysfs belongs to; "" when it belongs to none.
func usbDevice(place string) string {
	for dir := place; len(dir) > 1; dir = filepath.Dir(dir) {
		if usbPort.MatchString(filepath.Base(dir)) {
			return dir
		}
	}
	return ""
}

// placeOf names where a device is plugged in, and what its maker calls it.
func placeOf(place string) (id, model string) {
	if dir := usbDevice(place); dir != "" {
		return "usb-" + filepath.Base(dir), strings.TrimSpace(readLine(filepath.Join(dir, "manufacturer")) + " " + readLine(filepath.Join(dir, "product")))
	}
	for dir := place; len(dir) > 1; dir = filepath.Dir(dir) {
		if pciSlot.MatchString(filepath.Base(dir)) {
			return "pci-" + filepath.Base(dir), ""
		}
	}
	return "platform-" + filepath.Base(place), ""
}

// LinkPlace is the ID of a LinkDevice for a folder of sysfs, as services name devices.
func LinkPlace(place string) string {
	id, _ := placeOf(place)
	return id
}

// modemPart tells whether the device belongs to a modem that has serial ports, too: then it carries data when the modem is connected, and
// is no network of its own.
func (s sysDevice) modemPart(place string) bool {
	dir := usbDevice(place)
	if dir == "" {
		return false
	}
	found := false
	// Bounded by the few interfaces of one USB device; an error ends the walk, and what was found counts.
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(e.Name(), "ttyUSB") || strings.HasPrefix(e.Name(), "ttyACM"), strings.HasPrefix(e.Name(), "cdc-wdm"):
			found = true
			return filepath.SkipAll
		case path != dir && usbPort.MatchString(e.Name()) && e.IsDir():
			return filepath.SkipDir // behind a hub
		}
		return nil
	})
	return found
}
