package census_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/census"
	"github.com/trenza-router/trenza/router/dpi"
)

var distil = flag.String("distil", "", "make testdata/real from the captures in this directory")

// realDir has conversations of real clients and servers, each file named after what was started; see its README.
const realDir = "testdata/real"

// TestRealSoftware compares what real programs say to each other with what they must be recognised as.
func TestRealSoftware(t *testing.T) {
	if *distil != "" {
		distilAll(t, *distil)
	}
	files, err := filepath.Glob(realDir + "/*.pcapng")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	c := builtIn(t)
	var lines []string
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, "", strings.TrimSuffix(filepath.Base(name), ".pcapng"))
		people := census.New(c, census.DefaultFlows, func(f *census.Flow) {
			app, host := "-", "-"
			if f.Is.App != "" {
				app = f.Is.App
			}
			if f.Is.Host != "" {
				host = f.Is.Host
			}
			lines = append(lines, fmt.Sprintf("    %-6s %-45s %-16s %3d  %-16s %s", f.L4(), f.Key.Src.Addr().String()+" -> "+f.Key.Dst.String(), f.Is.Protocol, f.Is.Confidence, app, host))
		})
		reader, err := capture.NewReader(bytes.NewReader(file))
		var batch census.Batch
		for err == nil {
			err = batch.Fill(reader)
			batch.Read(people)
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v", name, err)
		}
		people.Close()
	}
	golden(t, "real", lines[1:])
}

// What is kept of a capture: the first packets of a flow, the first flows of a service, and of packets after the first payloads their heads.
const (
	keptPackets  = 12
	keptFlows    = 3
	wholePackets = 8
	headLength   = 80
)

// distilAll makes small captures of large ones. Nothing is changed in what is kept.
func distilAll(t *testing.T, from string) {
	t.Helper()
	files, err := filepath.Glob(from + "/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures in %s (%v)", from, err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		small, err := distilled(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		if err := os.WriteFile(filepath.Join(realDir, name+".pcapng"), small, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func distilled(file []byte) ([]byte, error) {
	reader, err := capture.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	var writer *capture.Writer
	packets := map[string]int{} // of a flow, by its ends in order
	services := map[string]int{}
	for {
		r, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		if writer == nil {
			if writer, err = capture.NewWriter(&out, r.Link); err != nil {
				return nil, err
			}
		}
		flow, service, ok := endsIn(r)
		if !ok {
			continue
		}
		if packets[flow] == 0 {
			services[service]++
			if services[service] > keptFlows {
				packets[flow] = keptPackets
			}
		}
		if packets[flow]++; packets[flow] > keptPackets {
			continue
		}
		data := r.Data
		if packets[flow] > wholePackets {
			data = data[:min(len(data), headLength)]
		}
		if err := writer.Packet(r.At, data, r.Length, ""); err != nil {
			return nil, err
		}
	}
}

// endsIn names the flow of a packet, whichever way it goes, and the service that it is of.
func endsIn(r capture.Record) (flow, service string, ok bool) {
	network, err := capture.Network(r.Link, r.Data)
	if err != nil {
		return "", "", false
	}
	var p dpi.Packet
	if dpi.Decode(network, &p) != nil {
		return "", "", false
	}
	a, b := p.Key.Src.String(), p.Key.Dst.String()
	service = fmt.Sprintf("%s %d", p.Key.Proto, min(p.Key.Src.Port(), p.Key.Dst.Port()))
	return fmt.Sprintf("%s %s %s", p.Key.Proto, min(a, b), max(a, b)), service, true
}
