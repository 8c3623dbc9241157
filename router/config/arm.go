package config

import "slices"

// theLAN is who uses a LAN's device.
const theLAN = "lan"

// checkArm looks at a link whose device is a LAN's too: the router stands beside the house's own router, on one leg, and takes its device as it
// finds it. Such a device is no longer taken in used.
func (c Config) checkArm(l Link, at string, used map[string]string) error {
	i := slices.IndexFunc(c.LAN, func(n LAN) bool { return n.Device == l.Device })
	if i < 0 || used[l.Device] != theLAN {
		return nil
	}
	lan := c.LAN[i]
	switch {
	case lan.Guest:
		return misfitf(at+".device", "link %s: device %s is a network for guests, who would meet the house on it: use another one", l.Name, l.Device)
	case lan.Managed(), lan.Served():
		return misfitf(at+".device", "link %s: device %s is also the LAN's, whose addresses this router gives out. Beside the house's own router it takes its address "+
			"from that one's network: leave bridge, address, ula, ipv6 and dhcp of the lan out, or use another device for the link", l.Name, l.Device)
	case l.Shape.Mode != ShapeOff && l.Shape.Mode != "":
		return misfitf(at+".shape.mode", "link %s: device %s is also the LAN's, and what goes there would be shaped with what goes out: leave shape out", l.Name, l.Device)
	}
	delete(used, l.Device)
	return nil
}
