package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exec runs a program in the host's namespace, such as iperf3. Programs that resolve names on their own read the
// machine's /etc/resolv.conf unless the lab mounted another: give them addresses, or use Curl.
type Exec struct {
	Argv    []string      `json:"argv"`
	Stdin   string        `json:"stdin,omitempty"`
	Timeout time.Duration `json:"timeout_ns,omitempty"` // default 1 min
}

// Executed is what came of an Exec. Output beyond 1 MiB each is cut.
type Executed struct {
	Code   int    `json:"code"`
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}

const maxOutput = 1 << 20

// Exec runs a program to its end. An exit code other than 0 is no error; a program that is not there is.
func (c *Client) Exec(ctx context.Context, job Exec) (Executed, error) {
	if len(job.Argv) == 0 {
		return Executed{}, badJob("exec: no program")
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(job.Timeout, time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, job.Argv[0], job.Argv[1:]...)
	cmd.Stdin = strings.NewReader(job.Stdin)
	var stdout, stderr capped
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// Its own process group, all of which ends with the job.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	out := Executed{Stdout: stdout.String(), Stderr: stderr.String(), Code: -1}
	if cmd.ProcessState != nil {
		out.Code = cmd.ProcessState.ExitCode()
	}
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return out, fmt.Errorf("run %s: %w", job.Argv[0], errors.Join(ctx.Err(), err))
	}
	return out, nil
}

// Curl makes an HTTPS request with the curl program: another TLS client than Go's, with another ClientHello. The name is
// resolved through the host's resolver. The answer is curl's output and exit code (curl(1), EXIT CODES).
type Curl struct {
	Target
	Path    string        `json:"path,omitempty"`
	Plain   bool          `json:"plain,omitempty"`
	Tag     string        `json:"tag,omitempty"`
	Args    []string      `json:"args,omitempty"`
	Timeout time.Duration `json:"timeout_ns,omitempty"` // default 10 s
}

// Curl runs curl.
func (c *Client) Curl(ctx context.Context, job Curl) (Executed, error) {
	job.Port = orDefault(job.Port, map[bool]uint16{false: 443, true: 80}[job.Plain])
	job.Timeout = orDefault(job.Timeout, 10*time.Second)
	addrs, err := c.addresses(ctx, job.Target)
	if err != nil {
		return Executed{}, err
	}
	scheme := map[bool]string{false: "https", true: "http"}[job.Plain]
	host := orDefault(job.Host, addrs[0].String())
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = a.String()
		if a.Is6() {
			list[i] = "[" + list[i] + "]"
		}
	}
	port := strconv.Itoa(int(job.Port))
	argv := []string{"curl", "-q", "--silent", "--show-error", "--noproxy", "*", "--cacert", c.env.CA,
		"--max-time", strconv.FormatFloat(job.Timeout.Seconds(), 'f', 3, 64)}
	if _, err := netip.ParseAddr(job.Host); err != nil && job.Host != "" {
		argv = append(argv, "--resolve", job.Host+":"+port+":"+strings.Join(list, ","))
	}
	if job.Tag != "" {
		argv = append(argv, "--header", "X-Lab-Tag: "+job.Tag)
	}
	argv = append(argv, job.Args...)
	argv = append(argv, scheme+"://"+host+":"+port+orDefault(job.Path, "/"))
	return c.Exec(ctx, Exec{Argv: argv, Timeout: job.Timeout + 5*time.Second})
}

// capped keeps the first MiB written to it.
type capped struct{ bytes.Buffer }

func (c *capped) Write(b []byte) (int, error) {
	if room := maxOutput - c.Len(); room < len(b) {
		c.Buffer.Write(b[:max(room, 0)])
		return len(b), nil
	}
	return c.Buffer.Write(b)
}
