package linux

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// sysfs builds a tree: files by path, and symbolic links whose text begins with "->".
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if len(text) > 2 && text[:2] == "->" {
			target := filepath.Join(root, text[2:])
			if err = os.MkdirAll(target, 0o755); err == nil {
				err = os.Symlink(target, path)
			}
		} else {
			err = os.WriteFile(path, []byte(text+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestInventory(t *testing.T) {
	files := map[string]string{}
	device := func(name, place, driver string, more map[string]string) {
		files["class/net/"+name+"/type"], files["class/net/"+name+"/address"] = "1", "02:00:00:00:00:01"
		if place != "" {
			files["class/net/"+name+"/device"] = "->devices/" + place
		}
		if driver != "" {
			files["devices/"+place+"/driver"] = "->bus/drivers/" + driver
		}
		for k, v := range more {
			files["class/net/"+name+"/"+k] = v
		}
	}
	device("eth0", "platform/fd580000.ethernet", "bcmgenet", map[string]string{"carrier": "1", "mtu": "1500"})
	device("eth1", "pci0000:00/0000:00:03.0/virtio0", "virtio_net", nil)
	device("eth2", "pci0000:00/0000:00:04.0/usb1/1-1/1-1.2/1-1.2:1.0", "r8152", nil)
	device("usb0", "pci0000:00/0000:00:04.0/usb1/1-1/1-1.3/1-1.3:1.0", "cdc_ether", nil)
	files["devices/pci0000:00/0000:00:04.0/usb1/1-1/1-1.3/product"] = "Mobile"
	files["devices/pci0000:00/0000:00:04.0/usb1/1-1/1-1.3/manufacturer"] = "HUAWEI"
	device("usb1", "pci0000:00/0000:00:04.0/usb1/1-1/1-1.4/1-1.4:1.0", "cdc_ether", nil) // a modem's, for it has a serial port
	files["devices/pci0000:00/0000:00:04.0/usb1/1-1/1-1.4/1-1.4:1.2/tty/ttyACM0/dev"] = "166:0"
	device("wwan0", "pci0000:00/0000:00:04.0/usb1/1-2/1-2:1.4", "qmi_wwan", map[string]string{"uevent": "DEVTYPE=wwan\nINTERFACE=wwan0"})
	device("wlan0", "platform/mmc1:0001:1", "brcmfmac", map[string]string{"uevent": "DEVTYPE=wlan"})
	device("eth0.20", "", "", map[string]string{"uevent": "DEVTYPE=vlan", "lower_eth0/mtu": "1500"})
	device("veth1", "", "", map[string]string{"iflink": "7", "ifindex": "6"})
	device("br0", "", "", map[string]string{"uevent": "DEVTYPE=bridge", "iflink": "3", "ifindex": "3", "bridge/root_id": "x"})
	device("tun0", "", "", map[string]string{"iflink": "4", "ifindex": "4", "tun_flags": "0x1"})
	files["class/net/lo/type"], files["class/net/ppp0/type"], files["class/net/bonding_masters"] = "772", "512", "bond0"

	got, err := Inventory(sysfs(t, files))
	if err != nil {
		t.Fatal(err)
	}
	mac := flow.MAC{2, 0, 0, 0, 0, 1}
	want := []hal.LinkDevice{
		{ID: "net-eth0.20", Kind: hal.LinkVLAN, Name: "eth0.20", Parent: "eth0", Tag: 20, MAC: mac, State: hal.LinkOff},
		{ID: "net-ppp0", Kind: hal.LinkPPP, Name: "ppp0", State: hal.LinkOff},
		{ID: "net-veth1", Kind: hal.LinkEthernet, Name: "veth1", MAC: mac, State: hal.LinkOff},
		{ID: "pci-0000:00:03.0", Kind: hal.LinkEthernet, Name: "eth1", MAC: mac, State: hal.LinkOff},
		{ID: "platform-fd580000.ethernet", Kind: hal.LinkEthernet, Name: "eth0", MAC: mac, State: hal.LinkConnected, MTU: 1500},
		{ID: "platform-mmc1:0001:1", Kind: hal.LinkWiFi, Name: "wlan0", MAC: mac, State: hal.LinkOff},
		{ID: "usb-1-1.2", Kind: hal.LinkEthernet, Name: "eth2", MAC: mac, State: hal.LinkOff},
		{ID: "usb-1-1.3", Kind: hal.LinkStick, Name: "usb0", Model: "HUAWEI Mobile", MAC: mac, State: hal.LinkOff},
	}
	opt := cmp.Comparer(func(a, b hal.LinkDevice) bool {
		return a.ID == b.ID && a.Kind == b.Kind && a.Name == b.Name && a.Parent == b.Parent && a.Tag == b.Tag && a.Model == b.Model && a.MAC == b.MAC && a.State == b.State && a.MTU == b.MTU
	})
	if diff := cmp.Diff(want, got, opt); diff != "" {
		t.Error(diff)
	}
}
