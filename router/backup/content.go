package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// Content is what a file holds.
type Content struct {
	Made    time.Time       `json:"made"`
	Version string          `json:"version"` // of the router that made it
	Config  string          `json:"config"`  // the configuration file's text; "" when it could not be told without its secrets
	Policy  string          `json:"policy"`
	Users   []User          `json:"users"`
	Devices []Device        `json:"devices,omitempty"`
	Days    []Day           `json:"days,omitempty"`
	Secrets map[string]File `json:"secrets,omitempty"` // by path below the state directory, with slashes
}

// File is a file's content; JSON has it in base64.
type File []byte

// User is someone who may sign in. TOTP and Recovery are secrets.
type User struct {
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Person   string    `json:"person,omitempty"`
	Password string    `json:"password"` // a hash in the PHC string format
	Made     time.Time `json:"made"`
	TOTP     []byte    `json:"totp,omitempty"`
	Recovery string    `json:"recovery,omitempty"`
}

// Device is what was learned of a device.
type Device struct {
	Number    flow.DeviceID `json:"number"`
	ID        string        `json:"id"`
	Name      string        `json:"name,omitempty"`
	Hostname  string        `json:"hostname,omitempty"`
	Vendor    string        `json:"vendor,omitempty"`
	Interface string        `json:"interface,omitempty"`
	MACs      []string      `json:"macs,omitempty"`
	FirstSeen time.Time     `json:"first"`
	LastSeen  time.Time     `json:"last"`
}

// Day is what a device's application used over a link in a day: bytes up and down, packets up and down, flows.
type Day struct {
	At     time.Time `json:"t"`
	Device string    `json:"d"`
	App    string    `json:"a"`
	Link   string    `json:"l"`
	Sums   [5]uint64 `json:"s"`
}

// household is the part that the database holds.
func (c Content) household() (store.Household, error) {
	h := store.Household{Policy: c.Policy}
	for _, u := range c.Users {
		h.Users = append(h.Users, store.User{Name: u.Name, Role: u.Role, Person: u.Person, Password: u.Password, Made: u.Made, TOTP: u.TOTP, Recovery: u.Recovery})
	}
	for _, d := range c.Devices {
		out := store.Device{Number: d.Number, ID: d.ID, Name: d.Name, Hostname: d.Hostname, Vendor: d.Vendor, Interface: d.Interface, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen}
		for _, text := range d.MACs {
			mac, err := flow.ParseMAC(text)
			if err != nil {
				return h, fmt.Errorf("device %s: %w", d.ID, err)
			}
			out.MACs = append(out.MACs, mac)
		}
		h.Devices = append(h.Devices, out)
	}
	return h, nil
}

func (c Content) days() []store.Usage {
	out := make([]store.Usage, len(c.Days))
	for i, d := range c.Days {
		out[i] = store.Usage{At: d.At, Device: d.Device, App: d.App, Link: d.Link,
			Traffic: store.Traffic{Up: d.Sums[0], Down: d.Sums[1], PacketsUp: d.Sums[2], PacketsDown: d.Sums[3], Flows: d.Sums[4]}}
	}
	return out
}

func contentOf(h store.Household, days []store.Usage, secrets bool) Content {
	c := Content{Policy: h.Policy}
	for _, u := range h.Users {
		out := User{Name: u.Name, Role: u.Role, Person: u.Person, Password: u.Password, Made: u.Made}
		if secrets {
			out.TOTP, out.Recovery = u.TOTP, u.Recovery
		}
		c.Users = append(c.Users, out)
	}
	for _, d := range h.Devices {
		out := Device{Number: d.Number, ID: d.ID, Name: d.Name, Hostname: d.Hostname, Vendor: d.Vendor, Interface: d.Interface, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen}
		for _, mac := range d.MACs {
			out.MACs = append(out.MACs, mac.String())
		}
		c.Devices = append(c.Devices, out)
	}
	for _, u := range days {
		t := u.Traffic
		c.Days = append(c.Days, Day{At: u.At, Device: u.Device, App: u.App, Link: u.Link, Sums: [5]uint64{t.Up, t.Down, t.PacketsUp, t.PacketsDown, t.Flows}})
	}
	return c
}

// Bounds of what a file may hold.
const (
	mostUsers   = 256
	mostDays    = 500_000
	mostSecrets = 64
	largeSecret = 64 << 10
	longText    = 256 // bytes of a name
)

// check looks at everything that a transaction or a file's path could stumble over. What a policy or a user's hash means is the caller's.
func (c Content) check() error {
	if len(c.Policy) > policy.MaxDocument || len(c.Config) > 1<<20 {
		return errors.New("its rules or its configuration are larger than any")
	}
	if len(c.Users) > mostUsers || len(c.Devices) > int(flow.MaxDevice) || len(c.Days) > mostDays || len(c.Secrets) > mostSecrets {
		return fmt.Errorf("it holds more than a household: %d users, %d devices, %d sums of days, %d secrets", len(c.Users), len(c.Devices), len(c.Days), len(c.Secrets))
	}
	names := map[string]bool{}
	for _, u := range c.Users {
		name := strings.ToLower(u.Name)
		if u.Name == "" || len(u.Name) > longText || names[name] {
			return fmt.Errorf("user %q is nameless or there twice", u.Name)
		}
		names[name] = true
	}
	numbers, ids, macs := map[flow.DeviceID]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range c.Devices {
		if d.Number < 1 || d.Number > flow.MaxDevice || numbers[d.Number] || ids[d.ID] || d.ID == "" || len(d.ID)+len(d.Name)+len(d.Hostname)+len(d.Vendor) > 4*longText {
			return fmt.Errorf("device %d (%s) is none, or there twice", d.Number, d.ID)
		}
		numbers[d.Number], ids[d.ID] = true, true
		for _, m := range d.MACs {
			if _, err := flow.ParseMAC(m); err != nil || macs[m] {
				return fmt.Errorf("device %s: %q is no Ethernet address, or there twice", d.ID, m)
			}
			macs[m] = true
		}
	}
	for _, d := range c.Days {
		for _, n := range d.Sums {
			if n > math.MaxInt64 {
				return fmt.Errorf("%d is no amount of a day", n)
			}
		}
		if len(d.Device) > longText || len(d.App) > longText || len(d.Link) > longText {
			return errors.New("a day's sum has a name that is none")
		}
	}
	for name, file := range c.Secrets {
		if !secretName(name) || len(file) > largeSecret {
			return fmt.Errorf("%q is no secret of a router", name)
		}
	}
	return nil
}

// Where the secrets are below the state directory: the page's authority, the links that were added with a relay's code, and the bonds' keys.
const (
	authorityCert = "ca.pem"
	authorityKey  = "ca.key"
	addedLinks    = "links.yaml"
	relays        = "relay"
)

// secretName tells whether a path is one of those that secrets have. It keeps what a file names inside the state directory.
func secretName(name string) bool {
	switch name {
	case authorityCert, authorityKey, addedLinks:
		return true
	}
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != relays || path.Clean(name) != name {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || p[0] == '.' || len(p) > 64 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
			return false
		}
	}
	return true
}

// Relays names the bonds whose keys are in the file.
func (c Content) Relays() []string {
	var out []string
	for name := range c.Secrets {
		if parts := strings.Split(name, "/"); len(parts) == 3 {
			out = append(out, parts[1])
		}
	}
	return out
}

// Authority tells whether the page's certificate authority is in the file.
func (c Content) Authority() bool { return c.Secrets[authorityKey] != nil }

// decode reads the JSON of a file, strictly.
func decode(text []byte) (c Content, err error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Content{}, fmt.Errorf("it cannot be read: %w", err)
	}
	return c, c.check()
}
