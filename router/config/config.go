package config

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Config is a configuration file with its defaults filled in.
type Config struct {
	Platform Platform  `yaml:"platform"`
	State    string    `yaml:"state"`
	Run      string    `yaml:"run"`
	LAN      []LAN     `yaml:"lan"`
	Links    []Link    `yaml:"links"`
	Resolver Resolver  `yaml:"resolver"`
	Leases   []string  `yaml:"leases"`
	Web      Web       `yaml:"web"`
	Policy   string    `yaml:"policy"`
	Catalog  string    `yaml:"catalog"`
	Forwards []Forward `yaml:"forwards"`
	Nft      string    `yaml:"nft"`
	LogLevel string    `yaml:"log_level"`
	TimeZone string    `yaml:"time_zone"`
}

// Platform is who owns the machine's interfaces.
type Platform string

// Static: someone else configures the interfaces; the file names them.
const Static Platform = "static"

// LAN is an interface towards the household.
type LAN struct {
	Device string `yaml:"device"`
}

// Link is a WAN link.
type Link struct {
	Name    string       `yaml:"name"`
	ID      flow.LinkID  `yaml:"id"` // 0 in the file: its place in the list
	Device  string       `yaml:"device"`
	IPv4    Address      `yaml:"ipv4"`
	IPv6    Address      `yaml:"ipv6"`
	Role    flow.Role    `yaml:"role"`
	Weight  int          `yaml:"weight"`
	Metered bool         `yaml:"metered"`
	Quota   Quota        `yaml:"quota"`
	Rate    Rates        `yaml:"rate"`
	DNS     []netip.Addr `yaml:"dns"`
	Probes  Probes       `yaml:"probes"`
}

// AddressMode says where a link's address and gateway of one family come from.
type AddressMode string

const (
	DHCP   AddressMode = "dhcp"   // our own client (IPv4 only)
	Auto   AddressMode = "auto"   // whatever default route another program, or the kernel, set on the device
	Off    AddressMode = "off"    // the family is not used on this link
	Stated AddressMode = "stated" // the file names the gateway
)

// Address is "dhcp", "auto", "off" or {gateway: ADDRESS}.
type Address struct {
	Mode    AddressMode
	Gateway netip.Addr
}

// Quota is a monthly allowance; a Limit of 0 is none.
type Quota struct {
	Limit    Bytes `yaml:"limit"`
	ResetDay int   `yaml:"reset_day"`
}

// Rates are a link's capacities in bits per second; 0 is unknown.
type Rates struct {
	Down BitRate `yaml:"down"`
	Up   BitRate `yaml:"up"`
}

// Probes say how a link's health is watched. Targets are in the form of link.ParseTarget.
type Probes struct {
	Interval Duration `yaml:"interval"`
	Targets  []string `yaml:"targets"`
}

// Resolver is the household's name server.
type Resolver struct {
	Listen   []string `yaml:"listen"`
	Redirect *bool    `yaml:"redirect"` // nil: true
}

// Web is where the page, the API and /metrics are served; an empty Listen turns them off.
type Web struct {
	Listen string `yaml:"listen"`
}

// Forward leads a port of every link to a LAN device.
type Forward struct {
	Name  string         `yaml:"name"`
	Proto string         `yaml:"proto"`
	Port  uint16         `yaml:"port"`
	To    netip.AddrPort `yaml:"to"`
}

// Bytes is an amount of data; "20GB" is 20·10⁹ and "20GiB" 20·2³⁰.
type Bytes uint64

// BitRate is in bits per second; "100mbit" is 10⁸.
type BitRate uint64

// Duration is written as "1s" or "500ms".
type Duration time.Duration

// Redirected tells whether name queries to other servers are answered by ours.
func (r Resolver) Redirected() bool { return r.Redirect == nil || *r.Redirect }
