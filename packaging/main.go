package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/minisign"
	published "github.com/trenza-router/trenza/router/release"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("packaging", flag.ContinueOnError)
	source := f.String("source", "..", "the checkout")
	out := f.String("out", "", "directory for the packages; made when missing")
	version := f.String("version", "", "version of the release, as 1.2.3")
	seconds := f.Int64("time", 0, "time of the release in seconds since 1970, written into the packages (SOURCE_DATE_EPOCH)")
	keyFile := f.String("key", "", "secret key file to sign with, made by minisign -G -W; without one nothing is signed")
	only := f.String("only", "", "these of Debian's names of architectures, with commas; default: all")
	if err := f.Parse(args); err != nil {
		return err
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(*version) {
		return fmt.Errorf("-version %q: use three numbers, as 1.2.3", *version)
	}
	if *out == "" {
		return errors.New("-out is missing")
	}
	r := release{source: *source, version: *version, time: time.Unix(*seconds, 0).UTC()}
	var key *minisign.PrivateKey
	if *keyFile != "" {
		text, err := os.ReadFile(*keyFile)
		if err != nil {
			return fmt.Errorf("reading the secret key: %w", err)
		}
		k, err := minisign.ParsePrivateKey(text)
		if err != nil {
			return fmt.Errorf("%s: %w", *keyFile, err)
		}
		key, r.publicKey = &k, k.Public().Format()
	}
	made := map[string][]byte{}
	for _, m := range machines() {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), m.debian) {
			continue
		}
		fmt.Fprintf(os.Stderr, "building for %s\n", m.debian)
		binary, err := build(*source, *version, m)
		if err != nil {
			return err
		}
		if err := r.packAll(made, m, binary); err != nil {
			return err
		}
	}
	if len(made) == 0 {
		return fmt.Errorf("-only %q: no such architecture", *only)
	}
	if err := seal(made, *version, key); err != nil {
		return err
	}
	for file, data := range made {
		if err := r.write(filepath.Join(*out, file), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packAll adds all packages of one build, and its bill of materials.
func (r release) packAll(made map[string][]byte, m machine, binary []byte) error {
	add := func(kind, arch string) error {
		file, data, err := r.pack(kind, arch, binary)
		if err != nil {
			return err
		}
		made[file] = data
		return nil
	}
	if err := add("deb", m.debian); err != nil {
		return err
	}
	for _, arch := range m.openwrt {
		if err := errors.Join(add("ipk", arch), add("apk", arch)); err != nil {
			return err
		}
	}
	bill, err := billOf(binary, r.version, r.time)
	if err != nil {
		return err
	}
	made[fmt.Sprintf("%s_%s_%s.cdx.json", name, r.version, m.debian)] = bill
	return nil
}

// build makes the program as it is shipped: without the lab.
func build(source, version string, m machine) ([]byte, error) {
	dir, err := os.MkdirTemp("", "trenza-build-")
	if err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there harms nobody
	to, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	// The version alone, not the state of the checkout, goes in: the same source makes the same program wherever it lies.
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "shipped",
		"-ldflags", "-s -w -buildid= -X github.com/trenza-router/trenza/router/cli.version="+version, "-o", to, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), append(m.extra, "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+m.goarch, "GOFLAGS=")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building for %s: %w\n%s", m.debian, err, text)
	}
	data, err := os.ReadFile(to)
	if err != nil {
		return nil, fmt.Errorf("building for %s: %w", m.debian, err)
	}
	return data, nil
}

// seal adds the list of sums and its signature.
func seal(made map[string][]byte, version string, key *minisign.PrivateKey) error {
	sums := map[string]string{}
	for file, data := range made {
		sums[filepath.ToSlash(file)] = published.Sum(data)
	}
	list := published.Format(sums)
	made[published.SumsFile] = list
	if key == nil {
		return nil
	}
	signature, err := published.Sign(list, version, *key)
	if err != nil {
		return err
	}
	made[published.SignatureFile] = []byte(signature)
	return nil
}
