package wifi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// supplicant speaks as wpa_supplicant does: over a real socket, with its words. It knows one network, Café, and what that asks for.
type supplicant struct {
	t    *testing.T
	conn *net.UnixConn

	mu       sync.Mutex
	attached []*net.UnixAddr
	networks map[string]map[string]string
	last     int
	joined   string
	forgets  bool // update_config=0
	saved    int
}

const (
	password = "right one"
	results  = "bssid / frequency / signal level / flags / ssid\n" +
		"02:00:00:00:00:02\t5180\t-55\t[WPA2-PSK-CCMP][ESS]\tCaf\\xc3\\xa9\n" +
		"02:00:00:00:00:03\t2412\t-80\t[WPA2-PSK-CCMP][ESS]\tCaf\\xc3\\xa9\n" +
		"02:00:00:00:00:04\t2462\t-75\t[WPA2-EAP-CCMP][ESS]\tOffice\n" +
		"02:00:00:00:00:05\t5955\t-80\t[SAE-CCMP][ESS]\tNew\n" +
		"02:00:00:00:00:06\t2412\t-90\t[ESS]\t\\x00\\x00\n"
)

// startSupplicant starts one for wlan0 and a client of it.
func startSupplicant(t *testing.T) (*supplicant, *Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wifi") // not TempDir, whose paths may be too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "wlan0")})
	if err != nil {
		t.Fatal(err)
	}
	s := &supplicant{t: t, conn: conn, networks: map[string]map[string]string{}}
	var wg sync.WaitGroup
	wg.Go(s.serve)
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s, New(dir)
}

func (s *supplicant) serve() {
	b := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFromUnix(b)
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		answer, events := s.answer(strings.Fields(string(b[:n])), from)
		for _, e := range events { // also to who asks for answers: it must tell them apart
			for _, a := range s.attached {
				_, _ = s.conn.WriteToUnix([]byte("<3>"+e), a) // it may have gone
			}
		}
		_, _ = s.conn.WriteToUnix([]byte(answer), from)
		s.mu.Unlock()
	}
}

func (s *supplicant) answer(words []string, from *net.UnixAddr) (answer string, events []string) {
	switch words[0] {
	case "ATTACH":
		s.attached = append(s.attached, from)
	case "STATUS":
		if s.joined == "" {
			return "wpa_state=SCANNING\naddress=02:00:00:00:00:01\n", nil
		}
		return "bssid=02:00:00:00:00:02\nssid=" + s.joined + "\nwpa_state=COMPLETED\n", nil
	case "SIGNAL_POLL":
		return "RSSI=-60\nLINKSPEED=54\n", nil
	case "SCAN":
		return "OK\n", []string{"CTRL-EVENT-SCAN-STARTED ", "CTRL-EVENT-SCAN-RESULTS "}
	case "SCAN_RESULTS":
		return results, nil
	case "ADD_NETWORK":
		s.last++
		id := fmt.Sprint(s.last)
		s.networks[id] = map[string]string{"disabled": "1"}
		return id + "\n", nil
	case "SET_NETWORK":
		s.networks[words[1]][words[2]] = strings.Join(words[3:], " ")
	case "ENABLE_NETWORK":
		delete(s.networks[words[1]], "disabled")
	case "SELECT_NETWORK":
		for id, n := range s.networks {
			n["disabled"] = "1"
			if id == words[1] {
				delete(n, "disabled")
			}
		}
		return "OK\n", s.join(words[1])
	case "REMOVE_NETWORK":
		delete(s.networks, words[1])
	case "LIST_NETWORKS":
		text := "network id / ssid / bssid / flags\n"
		for id, n := range s.networks {
			ssid, err := hex.DecodeString(n["ssid"])
			if err != nil {
				return "FAIL\n", nil
			}
			flags := ""
			if n["disabled"] != "" {
				flags = "[DISABLED]"
			}
			text += id + "\t" + strings.ReplaceAll(string(ssid), "é", `\xc3\xa9`) + "\tany\t" + flags + "\n"
		}
		return text, nil
	case "SAVE_CONFIG":
		if s.forgets {
			return "FAIL\n", nil
		}
		s.saved++
	default:
		return "UNKNOWN COMMAND\n", nil
	}
	return "OK\n", nil
}

func (s *supplicant) join(id string) (events []string) {
	n := s.networks[id]
	ssid, _ := hex.DecodeString(n["ssid"])
	switch {
	case string(ssid) == "Silent":
		return nil
	case string(ssid) != "Café":
		return []string{"CTRL-EVENT-NETWORK-NOT-FOUND "}
	case n["psk"] != `"`+password+`"`:
		return []string{"WPA: 4-Way Handshake failed - pre-shared key may be incorrect",
			"CTRL-EVENT-SSID-TEMP-DISABLED id=" + id + ` ssid="Caf\xc3\xa9" auth_failures=1 duration=10 reason=WRONG_KEY`}
	}
	s.joined = `Caf\xc3\xa9`
	return []string{"CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:02 completed [id=" + id + " id_str=]"}
}

// know has it remember a network from before.
func (s *supplicant) know(id, ssid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.networks[id] = map[string]string{"ssid": hex.EncodeToString([]byte(ssid))}
}

// kept is what it has: the networks that serve, how many it knows, and how often it was told to remember them.
func (s *supplicant) kept() (serve []string, known, saved int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.networks {
		if n["disabled"] == "" {
			serve = append(serve, id)
		}
	}
	slices.Sort(serve)
	return serve, len(s.networks), s.saved
}

func TestScan(t *testing.T) {
	s, c := startSupplicant(t)
	s.know("0", "Office")
	got, err := c.Scan(t.Context(), "wlan0")
	want := []hal.Network{
		{SSID: "Café", BSSID: flow.MAC{2, 0, 0, 0, 0, 2}, Security: hal.SecurityWPA2, Signal: 90, Frequency: 5180},
		{SSID: "Office", BSSID: flow.MAC{2, 0, 0, 0, 0, 4}, Security: hal.SecurityEnterprise, Signal: 50, Frequency: 2462, Known: true},
		{SSID: "New", BSSID: flow.MAC{2, 0, 0, 0, 0, 5}, Security: hal.SecurityWPA3, Signal: 40, Frequency: 5955},
		{SSID: "", BSSID: flow.MAC{2, 0, 0, 0, 0, 6}, Security: hal.SecurityOpen, Signal: 20, Frequency: 2412},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := c.Scan(t.Context(), "wlan9"); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("a device of nobody's: %v", err)
	}
	if _, err := c.Scan(t.Context(), "../wlan0"); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("a path: %v", err)
	}
}

// TestJoin: what does not let us in leaves nothing behind, and those before it serve again.
func TestJoin(t *testing.T) {
	s, c := startSupplicant(t)
	s.know("0", "Office")
	for _, tt := range []struct {
		r    hal.JoinRequest
		want error
	}{
		{hal.JoinRequest{SSID: "Café", Password: "wrong one"}, hal.ErrWrongPassword},
		{hal.JoinRequest{SSID: "Café", Password: "short"}, hal.ErrWrongPassword},
		{hal.JoinRequest{SSID: "nowhere", Password: "12345678"}, hal.ErrOutOfRange},
		{hal.JoinRequest{SSID: "nowhere", Hidden: true, Password: "12345678"}, hal.ErrOutOfRange},
		{hal.JoinRequest{SSID: "Café", Password: "two\nREMOVE_NETWORK all"}, hal.ErrRefused},
	} {
		err := c.Join(t.Context(), "wlan0", tt.r)
		if !errors.Is(err, tt.want) || strings.Contains(fmt.Sprint(err), tt.r.Password) {
			t.Errorf("%s: %v", tt.r.SSID, err)
		}
		if serve, known, saved := s.kept(); !slices.Equal(serve, []string{"0"}) || known != 1 || saved != 0 {
			t.Fatalf("%s left behind: %v of %d serve, saved %d times", tt.r.SSID, serve, known, saved)
		}
	}
	c.joinTime = time.Second
	err := c.Join(t.Context(), "wlan0", hal.JoinRequest{SSID: "Silent", Hidden: true})
	if _, known, _ := s.kept(); !errors.Is(err, hal.ErrRefused) || known != 1 {
		t.Errorf("one that never answers: %v, %d networks", err, known)
	}
	c.joinTime = defaultJoinTime
	for range 2 { // the second time in place of the first
		if err := c.Join(t.Context(), "wlan0", hal.JoinRequest{SSID: "Café", Password: password}); err != nil {
			t.Fatal(err)
		}
		if serve, known, _ := s.kept(); len(serve) != 2 || known != 2 {
			t.Errorf("%v of %d serve", serve, known)
		}
	}
	all, err := c.Devices(t.Context())
	want := map[string]hal.LinkDevice{"wlan0": {Name: "wlan0", Kind: hal.LinkWiFi, Owner: hal.OwnerSupplicant, OurDHCP: true, State: hal.LinkConnected, WiFi: hal.WiFiLink{SSID: "Café", Signal: 80}}}
	if d := all["wlan0"]; err != nil || len(all) != 1 || d.WiFi != want["wlan0"].WiFi || d.State != hal.LinkConnected || !d.OurDHCP || d.Owner != hal.OwnerSupplicant {
		t.Errorf("%v, %+v", err, all)
	}
	if err := c.Forget(t.Context(), "wlan0", "Café"); err != nil {
		t.Fatal(err)
	}
	if err := c.Forget(t.Context(), "wlan0", "Café"); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("forgotten twice: %v", err)
	}
	s.mu.Lock()
	s.forgets = true
	s.mu.Unlock()
	if err := c.Join(t.Context(), "wlan0", hal.JoinRequest{SSID: "Café", Password: password}); !errors.Is(err, hal.ErrRefused) || !strings.Contains(err.Error(), "update_config=1") {
		t.Errorf("one that cannot remember: %v", err)
	}
}

func TestNobody(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "none")).Devices(t.Context()); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("without wpa_supplicant: %v", err)
	}
	// A socket that a wpa_supplicant left behind.
	s, c := startSupplicant(t)
	s.conn.Close()
	if _, err := c.Devices(t.Context()); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("after its end: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Devices(ctx); err == nil {
		t.Error("an answer after the end of the context")
	}
}

// FuzzParse: whatever is on the air, and whatever a program says of it, is read without harm.
func FuzzParse(f *testing.F) {
	f.Add(results)
	f.Add("network id / ssid / bssid / flags\n0\tCaf\\xc3\tany\t[DISABLED]\n")
	f.Add("0\t\\x\n\\\t\\\t\\x1\t[SAE]\t\\")
	f.Fuzz(func(t *testing.T, text string) {
		for _, n := range parseScan(text) {
			if n.Signal < 0 || n.Signal > 100 {
				t.Errorf("signal %d", n.Signal)
			}
		}
		parseKnown(text)
		values(text)
		plain(text)
	})
}
