package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trenza-router/trenza/router/minisign"
	"github.com/trenza-router/trenza/router/release"
)

// The recipes. "all:" since the card's files may begin with a dot.
//
//go:embed all:rpi
var recipes embed.FS

// A build is one run of this program.
type build struct {
	pack, out, cache string // absolute paths
	version          string
	url, date        string // for the list of images
	plain            bool
	key              *minisign.PrivateKey // nil: nothing is signed
}

func (b build) name(suffix string) string {
	return filepath.Join(b.out, "trenza_"+b.version+"_rpi"+suffix)
}

func (b build) run(ctx context.Context) error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return fmt.Errorf("making the directory for the image: %w", err)
	}
	work, err := os.MkdirTemp(b.out, "building-")
	if err != nil {
		return fmt.Errorf("making a directory to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left there harms nobody
	// Copies of recipes have no modes: the scripts are started by sh, and system.sh sets what the card needs.
	if err := os.CopyFS(work, recipes); err != nil {
		return fmt.Errorf("writing the recipes: %w", err)
	}
	recipe := filepath.Join(work, "rpi")
	archive, err := b.root(ctx, recipe)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "images: making the slot")
	if err := inNamespace(ctx, recipe, "sh", "system.sh", archive, b.pack, work); err != nil {
		return fmt.Errorf("making the slot: %w", err)
	}
	fmt.Fprintln(os.Stderr, "images: making the card")
	slot := filepath.Join(work, "slot")
	if err := sumFolder(slot); err != nil {
		return err
	}
	if err := packSlot(ctx, slot, b.name(".slot")); err != nil {
		return err
	}
	img := b.name(".img")
	if err := makeCard(ctx, work, img); err != nil {
		return err
	}
	if b.plain {
		return nil
	}
	return b.publish(ctx, img)
}

// packSlot makes the archive that upgrades bring. The sums come first: who reads it knows what is to come.
func packSlot(ctx context.Context, slot, archive string) error {
	return command(ctx, slot, "tar", "--create", "--file", archive, "--sort=name", "--owner=0", "--group=0", "--numeric-owner",
		"--transform=s|^\\./||", "./"+release.SumsFile, "--exclude=./"+release.SumsFile, ".")
}

// publish compresses the image, and writes the list of sums and the entry for Raspberry Pi Imager.
func (b build) publish(ctx context.Context, img string) error {
	whole, err := sumFile(img)
	if err != nil {
		return err
	}
	if err := command(ctx, b.out, "xz", "--force", "--threads=0", "-6", img); err != nil {
		return err
	}
	packed, err := sumFile(img + ".xz")
	if err != nil {
		return err
	}
	list, err := json.MarshalIndent(osList(b, whole, packed), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "os_list_trenza.json"), append(list, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the list for Raspberry Pi Imager: %w", err)
	}
	return b.writeSums(b.out, filepath.Base(img)+".xz", filepath.Base(b.name(".slot")), "os_list_trenza.json")
}
