package openwrt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
	"github.com/trenza-router/trenza/hal/ubus"
	"github.com/trenza-router/trenza/router/flow"
)

// Client asks netifd and iwinfo.
type Client struct {
	socket   string
	joinTime time.Duration

	mu   sync.Mutex
	conn *ubus.Client // nil before the first use
}

// New makes a Client of the bus at a socket; "" is OpenWrt's own. It connects when it is first asked.
func New(socket string) *Client {
	return &Client{socket: cmp.Or(socket, ubus.Socket), joinTime: defaultJoinTime}
}

// Close ends the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// call calls a method over the connection, which is made anew when the bus has left it.
func (c *Client) call(ctx context.Context, path, method string, args ubus.Table, into any) error {
	conn, err := c.connection(ctx)
	if err != nil {
		return err
	}
	return conn.Call(ctx, path, method, args, into)
}

func (c *Client) connection(ctx context.Context) (*ubus.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		select {
		case <-c.conn.Done():
			c.conn.Close()
		default:
			return c.conn, nil
		}
	}
	conn, err := ubus.Dial(ctx, c.socket)
	c.conn = conn
	return conn, err
}

// Devices tells of every network interface that netifd has one of its own for, by its name. hal.ErrUnsupported when the machine has no such bus.
func (c *Client) Devices(ctx context.Context) (map[string]hal.LinkDevice, error) {
	var d dump
	if err := c.call(ctx, "network.interface", "dump", nil, &d); err != nil {
		return nil, fmt.Errorf("asking for the network's interfaces: %w", err)
	}
	return devices(d.Interface), nil
}

// Watch calls changed after every event of netifd's interfaces, once at the start and once each time the bus or netifd is new, until the context
// ends. A bus that is gone is waited for.
func (c *Client) Watch(ctx context.Context, changed func()) error {
	return bus.Keep(ctx, func() bool { return c.listen(ctx, changed) }, changed)
}

// listen is Watch over one connection of its own. It tells whether there was one.
func (c *Client) listen(ctx context.Context, changed func()) bool {
	conn, err := ubus.Dial(ctx, c.socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	news := make(chan struct{}, 1)
	tell := func(string, ubus.Table) {
		select {
		case news <- struct{}{}:
		default: // the last one was not taken yet
		}
	}
	// The second is netifd's return after `network restart`.
	for _, pattern := range []string{"network.interface", "ubus.object.add"} {
		if err := conn.Listen(ctx, pattern, tell); err != nil {
			return false
		}
	}
	for {
		changed()
		select {
		case <-ctx.Done():
			return true
		case <-conn.Done():
			return true
		case <-news:
		}
	}
}

// heard is one access point in the answer of iwinfo's method scan.
type heard struct {
	SSID       string `json:"ssid"`
	BSSID      string `json:"bssid"`
	Channel    int    `json:"channel"`
	Band       int    `json:"band"`
	Quality    int    `json:"quality"`
	QualityMax int    `json:"quality_max"`
	Encryption struct {
		Enabled        bool     `json:"enabled"`
		WPA            []int    `json:"wpa"`
		Authentication []string `json:"authentication"`
	} `json:"encryption"`
}

// Scan lists the networks that a wireless interface hears, the strongest first.
func (c *Client) Scan(ctx context.Context, device string) ([]hal.Network, error) {
	var answer struct {
		Results []heard `json:"results"`
	}
	err := c.call(ctx, "iwinfo", "scan", ubus.Table{"device": device}, &answer)
	if errors.Is(err, hal.ErrNotFound) {
		return nil, fmt.Errorf("%w: scanning needs the package rpcd-mod-iwinfo", hal.ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("scanning with %s: %w", device, err)
	}
	var all []hal.Network
	for _, h := range answer.Results {
		all = append(all, h.network())
	}
	return hal.BestAccessPoints(all), nil
}

func (h heard) network() hal.Network {
	n := hal.Network{SSID: h.SSID, Security: hal.SecurityOpen, Frequency: frequency(h.Band, h.Channel)}
	if mac, err := net.ParseMAC(h.BSSID); err == nil && len(mac) == 6 {
		n.BSSID = flow.MAC(mac)
	}
	if h.QualityMax > 0 {
		n.Signal = min(100, 100*max(0, h.Quality)/h.QualityMax)
	}
	asks := func(what string) bool { return slices.Contains(h.Encryption.Authentication, what) }
	switch {
	case !h.Encryption.Enabled:
	case asks("802.1x"):
		n.Security = hal.SecurityEnterprise
	case asks("sae") && !asks("psk"):
		n.Security = hal.SecurityWPA3
	default:
		n.Security = hal.SecurityWPA2
	}
	return n
}

// frequency is the centre of a channel in MHz (IEEE 802.11-2020, annex E). Old versions tell no band: the channels of 2.4 GHz end at 14.
func frequency(band, channel int) int {
	switch {
	case band == 6:
		return 5950 + 5*channel
	case channel == 14:
		return 2484
	case channel < 14:
		return 2407 + 5*channel
	}
	return 5000 + 5*channel
}
