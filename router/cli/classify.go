package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/census"
)

type classifyCommand struct {
	Files   []string `arg:"" name:"file" help:"Capture files, pcap or pcapng; - for standard input."`
	Stats   bool     `help:"Also print the number of packets and flows, and the processor time of the classification alone."`
	Catalog string   `help:"Directory of your own applications, as in the router's configuration." type:"path"`
	Flows   int      `help:"How many flows are held in memory; of more, the oldest are printed early." default:"${flows}"`
}

// flowLine is a flow as --json prints it. See docs/CLASSIFY.md.
type flowLine struct {
	File       string     `json:"file"`
	L4         string     `json:"l4"`
	Src        netip.Addr `json:"src"`
	SrcPort    uint16     `json:"sport"`
	Dst        netip.Addr `json:"dst"`
	DstPort    uint16     `json:"dport"`
	Packets    uint64     `json:"packets"`
	Bytes      uint64     `json:"bytes"`
	Protocol   string     `json:"protocol"`
	App        string     `json:"app"`
	Category   string     `json:"category"`
	Host       string     `json:"host"`
	HostSource string     `json:"host_source"`
	ALPN       []string   `json:"alpn"`
	ECH        bool       `json:"ech"`
	Confidence int        `json:"confidence"`
	Reason     string     `json:"reason"`
}

// statsLine comes last, as one more object.
type statsLine struct {
	Stats classifyStats `json:"stats"`
}

type classifyStats struct {
	Files      int     `json:"files"`
	Packets    uint64  `json:"packets"`
	NotIP      uint64  `json:"not_ip"`
	Flows      uint64  `json:"flows"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

func (c *classifyCommand) Run(s *session) error {
	if c.Flows < 1 {
		return usageError(fmt.Errorf("--flows %d: at least one flow must be held", c.Flows))
	}
	apps, err := catalog.Load(c.Catalog)
	if err != nil {
		return usageError(fmt.Errorf("reading the catalogue of applications: %w", err))
	}
	out := bufio.NewWriterSize(s.out, 1<<16)
	var total classifyStats
	var failed error
	for _, name := range c.Files {
		if s.ctx.Err() != nil {
			break
		}
		printer := &flowPrinter{out: out, file: name, json: s.json, many: len(c.Files) > 1}
		err := c.classify(s, name, apps, printer, &total)
		if flushed := out.Flush(); flushed != nil { // nobody reads any more
			return fmt.Errorf("printing: %w", flushed)
		}
		if err != nil && failed != nil { // Run's error is printed last
			fmt.Fprintln(s.errOut, "trenza:", failed)
		}
		if err != nil {
			failed = err
		}
	}
	if !c.Stats {
		return failed
	}
	return errors.Join(failed, total.print(s))
}

// classify reads one file. What could be read is printed in any case.
func (c *classifyCommand) classify(s *session, name string, apps *catalog.Catalog, printer *flowPrinter, total *classifyStats) error {
	file := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return usageError(fmt.Errorf("opening the capture: %w", err))
		}
		defer f.Close()
		file = f
	}
	reader, err := capture.NewReader(file)
	if err != nil {
		return usageError(fmt.Errorf("%s: %w", name, err))
	}
	people := census.New(apps, c.Flows, printer.keep)
	var batch census.Batch
	var cpu time.Duration
	for err == nil {
		err = batch.Fill(reader)
		if s.ctx.Err() != nil {
			err = errors.New("interrupted; the flows so far are printed")
		}
		before := cpuTime()
		batch.Read(people)
		if err != nil {
			people.Close()
		}
		cpu += cpuTime() - before
		printer.print()
	}
	stats := people.Stats()
	total.Files++
	total.Packets += stats.Packets
	total.NotIP += stats.NotIP + stats.Unread
	total.Flows += stats.Flows
	total.CPUSeconds += cpu.Seconds()
	switch {
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w; the %d packets before it were read", name, err, stats.Packets)
	case stats.Unread > 0:
		return fmt.Errorf("%s: %d of %d packets were left out: frames of %s cannot be read", name, stats.Unread, stats.Packets, stats.LinkType)
	}
	return nil
}

// cpuTime is the processor time of the whole program so far: the garbage collector's is part of the price.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // does not happen with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (t classifyStats) print(s *session) error {
	if s.json {
		return json.NewEncoder(s.out).Encode(statsLine{t})
	}
	cpu := time.Duration(t.CPUSeconds * float64(time.Second))
	fmt.Fprintf(s.out, "%d packets (%d without IP), %d flows in %d files; classified in %v of processor time\n", t.Packets, t.NotIP, t.Flows, t.Files, cpu.Round(time.Microsecond))
	return nil
}

// flowPrinter keeps the flows that come out of a batch and prints them after it, so that printing is no part of the time.
type flowPrinter struct {
	out  io.Writer
	file string
	json bool
	many bool // files
	kept []census.Flow
}

func (p *flowPrinter) keep(f *census.Flow) { p.kept = append(p.kept, *f) }

// print writes what was kept. What goes wrong in a buffered writer comes back from its Flush.
func (p *flowPrinter) print() {
	encoder := json.NewEncoder(p.out)
	for i := range p.kept {
		f := &p.kept[i]
		if p.json {
			_ = encoder.Encode(p.line(f))
			continue
		}
		if p.many {
			fmt.Fprintf(p.out, "%s: ", p.file)
		}
		printFlow(p.out, f)
	}
	clear(p.kept)
	p.kept = p.kept[:0]
}

func (p *flowPrinter) line(f *census.Flow) flowLine {
	l := flowLine{
		File: p.file, L4: f.L4(), Src: f.Key.Src.Addr(), SrcPort: f.Key.Src.Port(), Dst: f.Key.Dst.Addr(), DstPort: f.Key.Dst.Port(),
		Packets: f.Packets, Bytes: f.Bytes, Protocol: f.Is.Protocol.String(), App: f.Is.App, Category: f.Is.Category,
		Host: f.Is.Host, HostSource: f.Is.HostSource, ALPN: []string{}, ECH: f.ECH, Confidence: f.Is.Confidence, Reason: f.Is.Reason,
	}
	if names := f.ALPN.String(); names != "" {
		l.ALPN = strings.Split(names, ",")
	}
	return l
}

// printFlow writes one line for people: "tcp 10.0.0.2:40000 -> 203.0.113.7:443 12 packets 3456 bytes: tls, youtube, www.youtube.com (95: why)".
func printFlow(w io.Writer, f *census.Flow) {
	src, dst := f.Key.Src.String(), f.Key.Dst.String()
	if !f.Key.Proto.HasPorts() {
		src, dst = f.Key.Src.Addr().String(), f.Key.Dst.Addr().String()
	}
	fmt.Fprintf(w, "%s %s -> %s %d packets %d bytes: %s", f.L4(), src, dst, f.Packets, f.Bytes, f.Is.Protocol)
	for _, word := range []string{f.Is.App, f.Is.Host} {
		if word != "" {
			fmt.Fprintf(w, ", %s", word)
		}
	}
	fmt.Fprintf(w, " (%d: %s)\n", f.Is.Confidence, f.Is.Reason)
}
