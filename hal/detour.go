package hal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// DownloadDevice is the name of the one device on which downloads are shaped: an IFB (intermediate functional block) that the
// router makes and removes itself. At the ingress of a link address translation still hides who a packet is for, so
// what goes to the household takes a way around by this device, by whichever LAN device it leaves.
const DownloadDevice = "trenza-ifb"

// Detour leads all that some devices send through another device's queues first. A packet keeps its priority and its mark on the
// way, and leaves by the device that it was meant for. The zero value: no detour, and none of its devices.
type Detour struct {
	Device string   // DownloadDevice
	From   []string // the devices whose packets are led through Device, sorted by name
	// Broken, as it is read: another program took Device away, or down, or put something else in its place. What From sends is lost. It is
	// never wanted.
	Broken bool
}

// Validate tells whether the detour can be set; the error says what would be right.
func (d Detour) Validate() error {
	switch {
	case d.Broken:
		return errors.New("detour: a broken one cannot be wanted")
	case d.Device == "" && len(d.From) == 0:
		return nil
	case d.Device != DownloadDevice:
		return fmt.Errorf("detour by %q: the device is called %s", d.Device, DownloadDevice)
	case len(d.From) == 0:
		return errors.New("detour: name the devices whose packets take it")
	case !slices.IsSorted(d.From) || len(slices.Compact(slices.Clone(d.From))) != len(d.From):
		return fmt.Errorf("detour from %v: sort the devices and name each once", d.From)
	case slices.Contains(d.From, d.Device):
		return fmt.Errorf("detour from %v: %s cannot be led through itself", d.From, d.Device)
	}
	return nil
}

// Equal tells whether two detours are the same.
func (d Detour) Equal(o Detour) bool {
	return d.Device == o.Device && d.Broken == o.Broken && slices.Equal(d.From, o.From)
}

// DetourPreference is the place of the router's filter among those of a device. Filters to which the kernel gives the place go before it.
const DetourPreference = 9000

// DetourQueue is how many packets may wait in the device's own ring, and in the part of its shaper that does not shape.
const DetourQueue = 1000

// String is the detour as the commands of ip(8) and tc(8) that would make it.
func (d Detour) String() string {
	var b strings.Builder
	if d.Device != "" {
		fmt.Fprintf(&b, "link add %s txqueuelen %d up type ifb\n", d.Device, DetourQueue)
	}
	for _, from := range d.From {
		fmt.Fprintf(&b, "qdisc add dev %s clsact\n", from)
		fmt.Fprintf(&b, "filter add dev %s egress pref %d protocol all u32 match u32 0 0 action mirred egress redirect dev %s\n",
			from, DetourPreference, DownloadDevice)
	}
	if d.Broken {
		b.WriteString("# broken\n")
	}
	return b.String()
}
