package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const mib = 1 << 20

// A partition of the card. Sizes are in MiB.
type partition struct {
	label  string
	kind   string // of the partition table: c is FAT32, 83 Linux
	size   int64
	folder string // what is in it; "": nothing
}

// partitions are the card's, in their order: four, so that a plain table without extended partitions serves, the oldest that all boards read.
func partitions() []partition {
	return []partition{
		{"TRENZA-BOOT", "c", 48, "boot"},
		{"TRENZA-2", "c", slotSize, "slot"},
		{"TRENZA-3", "c", slotSize, ""},
		{"TRENZA-DATA", "83", 128, ""},
	}
}

const (
	slotSize = 512
	first    = 4 // where the first partition begins, in MiB: cards are written in blocks of this size
)

// table is the input of sfdisk(8) for the card, and its size.
func table(all []partition) (text string, size int64) {
	var b strings.Builder
	b.WriteString("label: dos\nunit: sectors\n")
	at := int64(first)
	for i, p := range all {
		boot := ""
		if i == 0 {
			boot = ", bootable"
		}
		fmt.Fprintf(&b, "start=%d, size=%d, type=%s%s\n", at*mib/512, p.size*mib/512, p.kind, boot)
		at += p.size
	}
	return b.String(), at * mib
}

// makeCard writes the image of a card whose partitions hold the folders of work.
func makeCard(ctx context.Context, work, img string) error {
	all := partitions()
	text, size := table(all)
	if err := os.Remove(img); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("removing an old image: %w", err)
	}
	f, err := os.Create(img)
	if err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		_ = f.Close() // the first error counts
		return fmt.Errorf("making the image: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	script := filepath.Join(work, "table")
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the partition table: %w", err)
	}
	if err := command(ctx, work, "sh", "-c", `exec sfdisk --quiet "$1" <"$2"`, "sh", img, script); err != nil {
		return err
	}
	at := int64(first)
	for _, p := range all {
		part, err := fill(ctx, work, p)
		if err != nil {
			return err
		}
		if err := command(ctx, work, "dd", "if="+part, "of="+img, "bs=1M", fmt.Sprintf("seek=%d", at), "conv=notrunc,sparse", "status=none"); err != nil {
			return err
		}
		if err := os.Remove(part); err != nil {
			return fmt.Errorf("removing a part: %w", err)
		}
		at += p.size
	}
	return nil
}

// fill makes the file of a partition.
func fill(ctx context.Context, work string, p partition) (string, error) {
	part := filepath.Join(work, p.label+".part")
	if p.kind == "83" {
		// What a card of any size needs: no blocks held back, since only root writes here anyway.
		return part, command(ctx, work, "mkfs.ext4", "-q", "-L", p.label, "-m", "0", "-E", "root_owner=0:0", part, fmt.Sprintf("%dM", p.size))
	}
	if err := command(ctx, work, "mkfs.vfat", "-F", "32", "-s", fatCluster(p.size), "-n", p.label, "-C", part, fmt.Sprint(p.size*mib/1024)); err != nil {
		return "", err
	}
	if p.folder == "" {
		return part, nil
	}
	names, err := filepath.Glob(filepath.Join(work, p.folder, "*"))
	if err != nil {
		return "", err
	}
	return part, command(ctx, work, "mcopy", append(append([]string{"-s", "-i", part}, names...), "::/")...)
}

// fatCluster is the sectors of a cluster: FAT32 has 65525 clusters at least (Microsoft's specification, "FAT type determination").
func fatCluster(size int64) string {
	if size < 128 {
		return "1"
	}
	return "8"
}
