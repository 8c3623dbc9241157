package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/trenza-router/trenza/router/minisign"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("images", flag.ContinueOnError)
	b := build{}
	f.StringVar(&b.pack, "package", "", "our .deb for arm64")
	f.StringVar(&b.out, "out", "", "directory for the image; made when missing")
	f.StringVar(&b.version, "version", "", "version of the release, as 1.2.3")
	f.StringVar(&b.url, "url", "https://example.invalid/", "where the image will lie, for the list that Raspberry Pi Imager reads")
	f.StringVar(&b.date, "date", "", "day of the release, as 2026-01-31")
	f.StringVar(&b.cache, "cache", "", "directory for Debian's root between builds; default: trenza-images below the user's cache")
	f.BoolVar(&b.plain, "plain", false, "leave the image as it is, not compressed: to start it here")
	keyFile := f.String("key", "", "secret key file to sign with, made by minisign -G -W; without one nothing is signed")
	if err := f.Parse(args); err != nil {
		return err
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(b.version) {
		return fmt.Errorf("-version %q: use three numbers, as 1.2.3", b.version)
	}
	if b.pack == "" || b.out == "" {
		return errors.New("-package and -out are needed")
	}
	if *keyFile != "" {
		text, err := os.ReadFile(*keyFile)
		if err != nil {
			return fmt.Errorf("reading the secret key: %w", err)
		}
		key, err := minisign.ParsePrivateKey(text)
		if err != nil {
			return fmt.Errorf("%s: %w", *keyFile, err)
		}
		b.key = &key
	}
	if b.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("finding the cache (or use -cache): %w", err)
		}
		b.cache = filepath.Join(dir, "trenza-images")
	}
	var err error
	for _, path := range []*string{&b.pack, &b.out, &b.cache} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return b.run(ctx)
}
