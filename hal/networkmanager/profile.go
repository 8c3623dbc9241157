package networkmanager

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

// Flags of NMSettingsConnectionFlags: connections that no person made.
const (
	flagUnsaved   = 1
	flagGenerated = 2
	flagExternal  = 8
)

// toDisk is NM_SETTINGS_ADD_CONNECTION2_FLAG_TO_DISK, and NM_SETTINGS_UPDATE2_FLAG_TO_DISK.
const toDisk = uint32(1)

// prefix begins the names of our connections.
const prefix = "trenza-"

// ourUUID is the same for the same link, so that a connection is found again (RFC 9562 section 5.8, from a hash).
func ourUUID(words ...string) string {
	h := sha1.Sum([]byte(prefix + strings.Join(words, "\x00")))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// base is what all our connections have: addresses, and nothing that would lead anybody's traffic.
func base(kind, id, uuid, device string, s hal.LinkSetup) bus.Settings {
	metered := int32(2) // NMMetered: no
	if s.Metered {
		metered = 1
	}
	c := bus.Settings{
		"connection": {"id": bus.V(id), "uuid": bus.V(uuid), "type": bus.V(kind), "interface-name": bus.V(device), "autoconnect": bus.V(true), "metered": bus.V(metered)},
		"ipv4":       {"method": bus.V("auto"), "never-default": bus.V(true), "ignore-auto-dns": bus.V(true), "ignore-auto-routes": bus.V(true)},
		"ipv6":       {"method": bus.V("ignore")},
	}
	if s.Address.IsValid() && s.Address.Addr().Is4() {
		c["ipv4"]["method"] = bus.V("manual")
		c["ipv4"]["address-data"] = bus.V([]bus.Options{{"address": bus.V(s.Address.Addr().String()), "prefix": bus.V(uint32(s.Address.Bits()))}})
	}
	return c
}

// Setup gives a device that NetworkManager manages a connection of ours. One that a person made, or that another program made
// without NetworkManager, is left at work.
func (c *Client) Setup(ctx context.Context, name string, s hal.LinkSetup) error {
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return fmt.Errorf("asking NetworkManager: %w", err)
	}
	path, o, err := device(all, name)
	if err != nil {
		return err
	}
	p := o[deviceOf]
	if kind := bus.Get[uint32](p, "DeviceType"); bus.Get[uint32](p, "State") <= stateUnmanaged || kind == typeWiFi || kind == typePPP || kind == typeVLAN || kind == typeTun {
		return nil // nobody's, or has its connection already, or is a program's
	}
	uuid := ourUUID("link", s.Link, name)
	active := all[bus.Get[bus.Path](p, "ActiveConnection")][activeOf]
	if bus.Get[string](active, "Uuid") == uuid {
		return nil
	}
	if len(active) > 0 {
		flags := bus.Get[uint32](all[bus.Get[bus.Path](active, "Connection")][storedOf], "Flags")
		if flags&flagExternal != 0 || flags&(flagUnsaved|flagGenerated) == 0 {
			return nil
		}
	}
	return c.raise(ctx, base("802-3-ethernet", prefix+s.Link, uuid, name, s), path)
}

// raise stores a connection, or what is new about it, and has it activated. It does not wait for the connection to be up.
func (c *Client) raise(ctx context.Context, s bus.Settings, device bus.Path) error {
	uuid, _ := s["connection"]["uuid"].Value().(string)
	var connection bus.Path
	err := c.bus.Call(ctx, service, settings, service+".Settings.GetConnectionByUuid", []any{uuid}, &connection)
	var refused *bus.Error
	switch {
	case err == nil:
		err = c.bus.Call(ctx, service, connection, storedOf+".Update", []any{s})
	case errors.As(err, &refused), errors.Is(err, hal.ErrNotFound):
		var result bus.Options
		err = c.bus.Call(ctx, service, settings, service+".Settings.AddConnection2", []any{s, toDisk, bus.Options{}}, &connection, &result)
	}
	if err != nil {
		return fmt.Errorf("storing a connection of NetworkManager: %w", err)
	}
	var active bus.Path
	if err := c.bus.Call(ctx, service, manager, service+".ActivateConnection", []any{connection, device, nowhere}, &active); err != nil {
		return fmt.Errorf("activating a connection of NetworkManager: %w", err)
	}
	return nil
}

// sessionMTU is what PPPoE leaves of Ethernet (RFC 2516 section 7).
const sessionMTU = uint32(1492)

// Dial makes a PPPoE session or a VLAN, and has NetworkManager keep it.
func (c *Client) Dial(ctx context.Context, s hal.DialSetup) error {
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return fmt.Errorf("asking NetworkManager: %w", err)
	}
	if _, _, err := device(all, s.Parent); err != nil {
		return err
	}
	uuid := ourUUID("dial", s.Link, s.Parent)
	for _, o := range all {
		if a, ok := o[activeOf]; ok && bus.Get[string](a, "Uuid") == uuid && bus.Get[uint32](a, "State") <= 2 {
			return nil // at work on it, or done
		}
	}
	return c.raise(ctx, dialled(s, uuid), nowhere)
}

// dialled is the connection of a session or a VLAN.
func dialled(s hal.DialSetup, uuid string) bus.Settings {
	if s.Tag > 0 {
		out := base("vlan", prefix+s.Link, uuid, fmt.Sprintf("%s.%d", s.Parent, s.Tag), s.LinkSetup)
		out["vlan"] = bus.Options{"parent": bus.V(s.Parent), "id": bus.V(uint32(s.Tag)), "flags": bus.V(uint32(1))}
		return out
	}
	name := "ppp-" + s.Link
	out := base("pppoe", prefix+s.Link, uuid, name[:min(len(name), 15)], s.LinkSetup)
	out["pppoe"] = bus.Options{"parent": bus.V(s.Parent), "username": bus.V(s.User), "password": bus.V(s.Password)}
	if s.Service != "" {
		out["pppoe"]["service"] = bus.V(s.Service)
	}
	out["ppp"] = bus.Options{"mtu": bus.V(sessionMTU), "mru": bus.V(sessionMTU), "lcp-echo-interval": bus.V(uint32(5)), "lcp-echo-failure": bus.V(uint32(3)),
		"noauth": bus.V(true)}
	// A line that was down is tried again for as long as it takes.
	out["connection"]["autoconnect-retries"] = bus.V(int32(0))
	return out
}
