package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// Config is a configuration file with its defaults filled in.
type Config struct {
	Platform Platform `yaml:"platform"`
	State    string   `yaml:"state"`
	Run      string   `yaml:"run"`
	LAN      []LAN    `yaml:"lan"`
	Links    []Link   `yaml:"links"`
	Resolver Resolver `yaml:"resolver"`
	Leases   []string `yaml:"leases"`
	Web      Web      `yaml:"web"`
	// BlockPage is where the page for HTTP flows that the filter refuses is served to the LAN; "": they are reset.
	BlockPage string `yaml:"block_page"`
	Policy    string `yaml:"policy"`
	Catalog   string `yaml:"catalog"`
	// CatalogKeys are further keys, beside the project's own, whose editions of the catalogue are taken.
	CatalogKeys []string  `yaml:"catalog_keys"`
	Forwards    []Forward `yaml:"forwards"`
	Nft         string    `yaml:"nft"`
	LogLevel    string    `yaml:"log_level"`
	TimeZone    string    `yaml:"time_zone"`
}

// Platform is who owns the machine's interfaces.
type Platform string

// Static: someone else configures the interfaces; the file names them.
const Static Platform = "static"

// Link is a WAN link.
type Link struct {
	Name     string            `yaml:"name"`
	ID       flow.LinkID       `yaml:"id"`     // 0 in the file: its place in the list
	Device   string            `yaml:"device"` // "" when Hardware selects it
	Hardware Hardware          `yaml:"hardware"`
	Relay    *Relay            `yaml:"relay"` // nil: a line of the house
	IPv4     Address           `yaml:"ipv4"`
	IPv6     Address           `yaml:"ipv6"`
	Role     flow.Role         `yaml:"role"`
	Weight   int               `yaml:"weight"`
	Metered  bool              `yaml:"metered"`
	Quota    Quota             `yaml:"quota"`
	Rate     Rates             `yaml:"rate"`
	Shape    Shape             `yaml:"shape"`
	DNS      []upstream.Server `yaml:"dns"`
	Probes   Probes            `yaml:"probes"`
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
	// Upstreams serve the links that name no servers of their own.
	Upstreams []upstream.Server `yaml:"upstreams"`
	// AllowRebind and RebindNames let all outside names, or those of some domains, have addresses of the house.
	AllowRebind    bool     `yaml:"allow_rebind"`
	RebindNames    []string `yaml:"rebind_names"`
	NoBrowserDoH   bool     `yaml:"no_browser_doh"`
	NoPrivateRelay bool     `yaml:"no_private_relay"`
	StripECH       bool     `yaml:"strip_ech"`
	// RefuseBlocked answers names that the policy blocks with "no such name" and the reason, instead of leaving it to the kernel to refuse the flow.
	RefuseBlocked bool `yaml:"refuse_blocked"`
}

// Web is where the page, the API and /metrics are served; an empty Listen turns them off.
type Web struct {
	Listen string `yaml:"listen"` // HTTP
	TLS    string `yaml:"tls"`    // HTTPS; see TLSListen
}

// TLSListen is where the page is served with TLS; "" for nowhere. If the file does not say, a page that only this machine can reach
// needs none, and any other has port 443 beside port 80, else 8443.
func (w Web) TLSListen() string {
	if w.TLS != "" || w.Listen == "" {
		return w.TLS
	}
	at, err := ParseListen(w.Listen)
	if err != nil || at.Addr().IsLoopback() {
		return ""
	}
	port := uint16(8443)
	if at.Port() == 80 {
		port = 443
	}
	if at.Addr().IsUnspecified() && at.Addr().Is6() {
		return fmt.Sprintf(":%d", port)
	}
	return netip.AddrPortFrom(at.Addr(), port).String()
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
