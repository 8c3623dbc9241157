package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 for every program whatever the kernel's own clock (time(7)).
const ticksPerSecond = 100

// cpu is the processor time that the daemon has used, in steps of 10 ms.
func (d *daemon) cpu(b *testing.B) time.Duration { return cpuOf(b, d.pid) }

func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatalf("the router has ended: %v", err)
	}
	// The name in parentheses may hold spaces; utime and stime are fields 14 and 15 (proc_pid_stat(5)).
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// memoryOf is what a process occupies, in bytes: Rss, Pss and the private part that no file backs.
func memoryOf(b *testing.B, pid int) (rss, pss, anonymous float64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	value := func(key string) float64 {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, key+":"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				return n * 1024
			}
		}
		return 0
	}
	return value("Rss"), value("Pss"), value("Anonymous")
}
