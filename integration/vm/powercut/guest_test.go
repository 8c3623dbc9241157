//go:build vm

package powercut

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/api"
)

const (
	disk  = "/disk"
	state = disk + "/state"
	// starting is how long the house may take, in a guest beside other work.
	starting = 5 * time.Minute
)

// inside is a round in a guest. It returns the program's exit code.
func inside(round string) int {
	err := mount()
	if err == nil {
		err = guestRound(context.Background(), round)
		err = errors.Join(err, unix.Unmount(disk, 0))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// mount takes the disk in as any system would after a power cut: the kernel repeats the file system's journal.
func mount() error {
	for _, module := range []string{"virtio_blk", "ext4"} {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			return fmt.Errorf("modprobe %s: %w: %s", module, err, out)
		}
	}
	if err := os.MkdirAll(disk, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/dev/vda", disk, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the disk: %w", err)
	}
	return os.MkdirAll(state, 0o700)
}

func guestRound(ctx context.Context, round string) error {
	kept, err := lookAtFile(ctx)
	if err != nil {
		return fmt.Errorf("the database file: %w", err)
	}
	starts, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	h, err := home.Start(starts, home.Options{Binary: os.Getenv("TRENZA_BINARY"), Lab: netlab.Options{Netem: true, State: state}})
	if err != nil {
		return err
	}
	if err = live(ctx, h, kept, round); err != nil {
		err = fmt.Errorf("%w; the router's log:\n%s", err, h.RouterLog())
	}
	return errors.Join(err, h.Close())
}

// lookAtFile opens a copy of the database, as the daemon will open the file itself, and tells what is in it.
func lookAtFile(ctx context.Context) (policy uint64, err error) {
	files, err := filepath.Glob(state + "/trenza.db*")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "look-")
	if err != nil {
		return 0, err
	}
	for _, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), text, 0o600); err != nil {
			return 0, err
		}
	}
	s, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "trenza.db"), Location: time.UTC})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if st := s.Status(); st.Broken != "" || st.Memory || st.Problem != nil {
		return 0, fmt.Errorf("it is not whole: %+v", st)
	}
	p, err := s.CurrentPolicy(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	if policy, err = numberOf(p.Text); err != nil {
		return 0, err
	}
	usage, err := s.Usage(ctx, store.UsageQuery{Resolution: store.Day})
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, u := range usage {
		sum += u.Traffic.Up + u.Traffic.Down
	}
	fmt.Println(sayKept, policy)
	fmt.Println(sayUsed, sum)
	return policy, nil
}

// live compares the running daemon with its file, and then works until the power is cut.
func live(ctx context.Context, h *home.House, kept uint64, round string) error {
	c, err := h.API()
	if err != nil {
		return err
	}
	r, err := c.GetPolicyWithResponse(ctx)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return fmt.Errorf("the policy in force: %s: %s", r.Status(), r.Body)
	}
	running, err := numberOf(r.JSON200.Text)
	if err != nil {
		return err
	}
	if running != kept {
		return fmt.Errorf("policy %d is in force, and the file has %d", running, kept)
	}
	fmt.Println(sayRunning, running)
	if round == look {
		return nil
	}
	downloads := make(chan error, 1)
	go func() { downloads <- download(ctx, h) }()
	for n := running + 1; ; n++ {
		select {
		case err := <-downloads:
			return err
		default:
		}
		fmt.Println(sayTrying, n)
		if err := put(ctx, c, policyOf(n)); err != nil {
			return fmt.Errorf("policy %d: %w", n, err)
		}
		fmt.Println(sayConfirmed, n)
	}
}

// download lets a host of the house use the internet, until it fails.
func download(ctx context.Context, h *home.House) error {
	server := netip.MustParseAddr("198.51.100.95")
	for {
		if _, err := h.Agent("laptop").Transfer(ctx, client.Transfer{
			Target:  client.Target{Host: server.String(), Addr: server},
			Order:   wire.Order{Direction: wire.Down, Duration: 5 * time.Second, Rate: 2e6},
			Timeout: time.Minute,
		}, nil); err != nil {
			return fmt.Errorf("a download: %w", err)
		}
	}
}

func put(ctx context.Context, c *api.ClientWithResponses, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	r, err := c.PutPolicyWithBodyWithResponse(ctx, &api.PutPolicyParams{}, "application/yaml", strings.NewReader(text))
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return fmt.Errorf("%s: %s", r.Status(), r.Body)
	}
	return nil
}

// rules is how many a policy has: several pages of the database, so that a torn one shows.
const rules = 100

// policyOf is the policy that a number is recognised in, all over its text. 0 is none.
func policyOf(n uint64) string {
	if n == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("house:\n")
	for i := range rules {
		fmt.Fprintf(&b, "  - {id: rule-%d-%d, force: must, what: {services: [tcp/%d]}, filter: {block: true}}\n", n, i, 20000+i)
	}
	return b.String()
}

// numberOf reads the number out of a policy, which must be that policy to the letter.
func numberOf(text string) (n uint64, err error) {
	if text == "" {
		return 0, nil
	}
	if _, err := fmt.Sscanf(text, "house:\n  - {id: rule-%d-0,", &n); err != nil || text != policyOf(n) {
		return 0, fmt.Errorf("this policy nobody made:\n%s", text)
	}
	return n, nil
}
