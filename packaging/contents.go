package main

import (
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2/files"
	published "github.com/trenza-router/trenza/router/release"
)

//go:embed files
var shipped embed.FS

// An item is one file of a package.
type item struct {
	to   string // absolute path on the router
	data []byte
	mode os.FileMode
	conf bool // the administrator's changes outlive upgrades
}

const description = `multipath router that braids several internet links into one
Leads each flow, from its first packet, to the right one of several weak or
uneven links, by the rules of the house and of each person in it, and moves
flows when a link dies.`

// common is in every package.
func (r release) common(binary []byte) ([]item, error) {
	key := []item(nil)
	if r.publicKey != "" {
		key = []item{{"/usr/share/trenza/release.pub", []byte(r.publicKey), 0o644, false}}
	}
	license, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("reading the licence: %w", err)
	}
	return append(key, item{"/usr/bin/trenza", binary, 0o755, false}, item{"/usr/share/doc/trenza/copyright", license, 0o644, false}), nil
}

// debian adds what a machine with systemd needs.
func (r release) debian() ([]item, error) {
	items, err := own(map[string]string{
		"/usr/lib/systemd/system/trenza.service":       "systemd/trenza.service",
		"/usr/lib/systemd/system/trenza-relay.service": "systemd/trenza-relay.service",
		"/etc/default/trenza":                          "debian/default",
	})
	if err != nil {
		return nil, err
	}
	docs, err := r.docs()
	return append(items, docs...), err
}

// docs are the references, and the commented example of the configuration out of one of them, so that there is only one to keep true.
func (r release) docs() ([]item, error) {
	var items []item
	for _, name := range []string{"CONFIG.md", "POLICY.md", "CATALOG.md", "INSTALL.md", "BOND.md"} {
		text, err := os.ReadFile(filepath.Join(r.source, "docs", name))
		if err != nil {
			return nil, fmt.Errorf("reading the documentation: %w", err)
		}
		items = append(items, item{"/usr/share/doc/trenza/" + name, text, 0o644, false})
		if name != "CONFIG.md" {
			continue
		}
		_, rest, _ := strings.Cut(string(text), "```yaml\n")
		example, _, found := strings.Cut(rest, "```")
		if !found {
			return nil, fmt.Errorf("docs/%s has no example", name)
		}
		items = append(items, item{"/usr/share/doc/trenza/trenza.yaml.example", []byte(example), 0o644, false})
	}
	return items, nil
}

// openwrt adds what a machine with procd needs.
func openwrt() ([]item, error) {
	return own(map[string]string{
		"/etc/init.d/trenza":             "openwrt/trenza.init",
		"/etc/config/trenza":             "openwrt/trenza.config",
		"/etc/uci-defaults/95-trenza":    "openwrt/uci-defaults",
		"/etc/hotplug.d/iface/95-trenza": "openwrt/hotplug",
		"/lib/upgrade/keep.d/trenza":     "openwrt/keep.d",
		"/usr/lib/trenza/configure.sh":   "openwrt/configure.sh",

		"/usr/share/nftables.d/chain-pre/forward/30-trenza.nft": "openwrt/forward.nft",
	})
}

// own reads this program's files. Those below /etc/init.d, uci-defaults and hotplug are programs; the rest of /etc is the administrator's.
func own(names map[string]string) ([]item, error) {
	var items []item
	for to, from := range names {
		data, err := shipped.ReadFile("files/" + from)
		if err != nil {
			return nil, fmt.Errorf("reading what is shipped: %w", err)
		}
		it := item{to, data, 0o644, false}
		switch dir := path.Dir(to); {
		case dir == "/etc/init.d", dir == "/etc/uci-defaults", strings.HasPrefix(dir, "/etc/hotplug.d"):
			it.mode = 0o755
		case strings.HasPrefix(to, "/etc/"):
			it.conf = true
		}
		items = append(items, it)
	}
	return items, nil
}

// apkLists are the records that OpenWrt's package scripts keep beside apk's own: the files of a package, which of them are the administrator's,
// and the sums these were shipped with.
func apkLists(items []item) []item {
	var list, conf, static strings.Builder
	for _, it := range items {
		fmt.Fprintln(&list, it.to)
		if it.conf {
			fmt.Fprintln(&conf, it.to)
			fmt.Fprintf(&static, "%s %s\n", it.to, published.Sum(it.data))
		}
	}
	const dir = "/lib/apk/packages/" + name
	return []item{
		{dir + ".list", []byte(list.String()), 0o644, false},
		{dir + ".conffiles", []byte(conf.String()), 0o644, false},
		{dir + ".conffiles_static", []byte(static.String()), 0o644, false},
	}
}

// contents writes the items below dir, where the packagers read them.
func (r release) contents(dir string, items []item) (files.Contents, error) {
	var out files.Contents
	for _, it := range items {
		from := filepath.Join(dir, "root", it.to)
		if err := r.write(from, it.data, it.mode); err != nil {
			return nil, err
		}
		kind := files.TypeFile
		if it.conf {
			kind = files.TypeConfigNoReplace
		}
		out = append(out, &files.Content{
			Source: from, Destination: it.to, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: it.mode, MTime: r.time},
		})
	}
	return out, nil
}

// write makes a file of which mode and time do not depend on this machine.
func (r release) write(to string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("preparing a package: %w", err)
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		return fmt.Errorf("preparing a package: %w", err)
	}
	if err := os.Chmod(to, mode); err != nil {
		return fmt.Errorf("preparing a package: %w", err)
	}
	if err := os.Chtimes(to, r.time, r.time); err != nil {
		return fmt.Errorf("preparing a package: %w", err)
	}
	return nil
}
