package openwrt

import (
	"context"
	"errors"
	"fmt"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/ubus"
)

// Conflicts tells of OpenWrt's own services that do the router's work, too; none on other machines.
func (c *Client) Conflicts(ctx context.Context) ([]hal.Conflict, error) {
	var services map[string]struct {
		Instances map[string]struct {
			Running bool `json:"running"`
		} `json:"instances"`
	}
	err := c.call(ctx, "service", "list", ubus.Table{"name": "mwan3"}, &services)
	switch {
	case errors.Is(err, hal.ErrUnsupported), errors.Is(err, hal.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("asking for the services: %w", err)
	}
	var out []hal.Conflict
	for _, i := range services["mwan3"].Instances {
		if i.Running {
			out = append(out, hal.Conflict{Service: "mwan3", Grave: true, Text: "mwan3 runs and steers the same packets by marks",
				Fix: "stop it: /etc/init.d/mwan3 stop && /etc/init.d/mwan3 disable"})
			break
		}
	}
	queues, err := c.sections(ctx, "sqm", "queue")
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		if device, ok := q["interface"].(string); ok && q["enabled"] == "1" {
			out = append(out, hal.Conflict{Service: "sqm", Device: device, Grave: true, Text: "sqm shapes " + device,
				Fix: fmt.Sprintf("switch it off there, and let the router shape the link (shape: in its configuration): /etc/init.d/sqm stop; uci set sqm.%v.enabled=0; uci commit sqm", q[".name"])})
		}
	}
	defaults, err := c.sections(ctx, "firewall", "defaults")
	if err != nil {
		return nil, err
	}
	for _, d := range defaults {
		if d["flow_offloading"] == "1" {
			text := "flow offloading is on: packets of running flows pass by the router's rules and queues"
			if d["flow_offloading_hw"] == "1" {
				text = "flow offloading in hardware is on: packets of running flows pass by the router's rules, queues and counters"
			}
			out = append(out, hal.Conflict{Service: "flow-offloading", Text: text,
				Fix: "switch it off: uci set firewall.@defaults[0].flow_offloading=0; uci commit firewall; /etc/init.d/firewall reload"})
		}
	}
	return out, nil
}
