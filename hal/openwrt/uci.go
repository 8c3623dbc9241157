package openwrt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/ubus"
)

// ourPrefix begins the names of our sections. An interface's name is part of its device's ("pppoe-" and the name), which has 15 bytes at most.
const ourPrefix = "tz"

// ours is the name of the section of a link, or of a radio's station: always the same, so that it is found again.
func ours(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		h.Write(append([]byte(w), 0))
	}
	return ourPrefix + hex.EncodeToString(h.Sum(nil)[:3])
}

// section is a section of a configuration file as rpcd's object uci tells and takes it: option to text, or to a list of texts.
type section map[string]any

// sections reads a file's sections of one type, by name.
func (c *Client) sections(ctx context.Context, file, kind string) (map[string]section, error) {
	var answer struct {
		Values map[string]section `json:"values"`
	}
	err := c.call(ctx, "uci", "get", ubus.Table{"config": file, "type": kind}, &answer)
	if errors.Is(err, hal.ErrNotFound) {
		return nil, nil // no such file
	}
	if err != nil {
		return nil, fmt.Errorf("reading /etc/config/%s: %w", file, err)
	}
	return answer.Values, nil
}

// put makes a section have exactly the values, and tells whether it had others.
func (c *Client) put(ctx context.Context, file, kind, name string, values section) (changed bool, err error) {
	all, err := c.sections(ctx, file, kind)
	if err != nil {
		return false, err
	}
	if old, there := all[name]; there {
		if maps.EqualFunc(plain(old), values, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			return false, nil
		}
		if err := c.drop(ctx, file, name); err != nil {
			return false, err
		}
	}
	if err := c.call(ctx, "uci", "add", ubus.Table{"config": file, "type": kind, "name": name, "values": ubus.Table(values)}, nil); err != nil {
		return false, fmt.Errorf("changing /etc/config/%s: %w", file, err)
	}
	return true, nil
}

// plain is a section without what rpcd tells about it (".name", ".type", ...).
func plain(s section) section {
	out := maps.Clone(s)
	maps.DeleteFunc(out, func(k string, _ any) bool { return strings.HasPrefix(k, ".") })
	return out
}

func (c *Client) drop(ctx context.Context, file, name string) error {
	if err := c.call(ctx, "uci", "delete", ubus.Table{"config": file, "section": name}, nil); err != nil && !errors.Is(err, hal.ErrNotFound) {
		return fmt.Errorf("changing /etc/config/%s: %w", file, err)
	}
	return nil
}

// commit puts the changes of some files in force: rpcd tells the services that read them.
func (c *Client) commit(ctx context.Context, files ...string) error {
	for _, f := range files {
		if err := c.call(ctx, "uci", "commit", ubus.Table{"config": f}, nil); err != nil {
			return fmt.Errorf("putting /etc/config/%s in force: %w", f, err)
		}
	}
	return nil
}

// revert forgets changes of some files that were not committed.
func (c *Client) revert(ctx context.Context, files ...string) error {
	var failed []error
	for _, f := range files {
		failed = append(failed, c.call(ctx, "uci", "revert", ubus.Table{"config": f}, nil))
	}
	return errors.Join(failed...)
}

// wanZone is the name of the firewall's zone for links.
const wanZone = "wan"

// inZone adds a network to the firewall's zone for links, and tells whether it was not there. Without such a zone there is nothing to join.
func (c *Client) inZone(ctx context.Context, network string) (changed bool, err error) {
	zones, err := c.sections(ctx, "firewall", "zone")
	if err != nil {
		return false, err
	}
	for name, z := range zones {
		if z["name"] != wanZone {
			continue
		}
		networks := list(z["network"])
		if slices.Contains(networks, network) {
			return false, nil
		}
		all := []any{}
		for _, n := range append(networks, network) {
			all = append(all, n)
		}
		if err := c.call(ctx, "uci", "set", ubus.Table{"config": "firewall", "section": name, "values": ubus.Table{"network": all}}, nil); err != nil {
			return false, fmt.Errorf("changing /etc/config/firewall: %w", err)
		}
		return true, nil
	}
	return false, nil
}

// list is an option that may be one text or several.
func list(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			out = append(out, fmt.Sprint(e))
		}
	}
	return out
}

// network is an interface of ours in /etc/config/network: its routes and name servers are for nobody but the router.
func network(proto, device string, more section) section {
	s := section{"proto": proto, "defaultroute": "0", "peerdns": "0"}
	if device != "" {
		s["device"] = device
	}
	maps.Copy(s, more)
	return s
}

// Dial is hal.Dialer's: an interface in /etc/config/network, which netifd keeps.
func (c *Client) Dial(ctx context.Context, s hal.DialSetup) error {
	name := ours("dial", s.Link, s.Parent)
	values := network("pppoe", s.Parent, section{"username": s.User, "password": s.Password, "keepalive": "3 5", "ipv6": "auto"})
	switch {
	case s.Tag > 0:
		values = network("dhcp", fmt.Sprintf("%s.%d", s.Parent, s.Tag), nil)
		if s.Address.IsValid() {
			values = network("static", fmt.Sprintf("%s.%d", s.Parent, s.Tag), section{"ipaddr": s.Address.String()})
		}
	case s.Service != "":
		values["service"] = s.Service
	}
	changed, err := c.put(ctx, "network", "interface", name, values)
	var zoned bool
	if err == nil {
		zoned, err = c.inZone(ctx, name)
	}
	if err != nil {
		return c.undone(ctx, err, "network", "firewall")
	}
	var files []string
	if changed {
		files = append(files, "network")
	}
	if zoned {
		files = append(files, "firewall")
	}
	return c.commit(ctx, files...)
}

// undone takes back what was not committed, and returns why.
func (c *Client) undone(ctx context.Context, why error, files ...string) error {
	if errors.Is(why, hal.ErrUnsupported) {
		return why // there is no bus at all
	}
	if err := c.revert(context.WithoutCancel(ctx), files...); err != nil && !errors.Is(err, hal.ErrNotFound) {
		return errors.Join(why, fmt.Errorf("taking back what was changed: %w", err))
	}
	return why
}

// Announce makes a device that netifd has no interface for known to it and to the firewall, as a part of the zone for links, without netifd
// doing anything with it: the tunnel of a bond, or a stick. It is gone when netifd starts anew, and is to be announced again then.
func (c *Client) Announce(ctx context.Context, device string) error {
	var d dump
	if err := c.call(ctx, "network.interface", "dump", nil, &d); err != nil {
		return fmt.Errorf("asking for the network's interfaces: %w", err)
	}
	if slices.ContainsFunc(d.Interface, func(n netif) bool { return n.Device == device || n.L3Device == device }) {
		return nil
	}
	name := ours("device", device)
	// It comes up when the firewall can see its zone, for then it looks.
	steps := []struct {
		path, method string
		args         ubus.Table
	}{
		{"network", "add_dynamic", ubus.Table{"name": name, "proto": "none", "device": device, "auto": false}},
		{"network.interface." + name, "set_data", ubus.Table{"zone": wanZone}},
		{"network.interface." + name, "up", nil},
	}
	for _, s := range steps {
		if err := c.call(ctx, s.path, s.method, s.args, nil); err != nil {
			return fmt.Errorf("making %s known to the firewall: %w", device, err)
		}
	}
	return nil
}
