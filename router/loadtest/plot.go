package loadtest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// plotHeight is how many lines of text a plot has.
const plotHeight = 8

// Plot draws the delay of a test in block characters, a column for each point, and below it what the link carried.
func Plot(w io.Writer, points []Point) error {
	if len(points) == 0 {
		return nil
	}
	var most time.Duration
	for _, p := range points {
		most = max(most, p.Worst)
	}
	most = max(most, time.Millisecond)
	var b strings.Builder
	for line := plotHeight - 1; line >= 0; line-- {
		label := ""
		switch line {
		case plotHeight - 1:
			label = milliseconds(most)
		case 0:
			label = "0 ms"
		}
		fmt.Fprintf(&b, "%9s │", label)
		for _, p := range points {
			b.WriteRune(block(float64(p.Worst)/float64(most)*plotHeight - float64(line)))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%9s └%s\n", "delay", strings.Repeat("─", len(points)))
	var fastest uint64 = 1
	for _, p := range points {
		fastest = max(fastest, p.Rate)
	}
	fmt.Fprintf(&b, "%9s  ", "rate")
	for _, p := range points {
		b.WriteRune(block(float64(p.Rate) / float64(fastest)))
	}
	fmt.Fprintf(&b, "\n%9s  %s\n", "", phaseLine(points))
	_, err := io.WriteString(w, b.String())
	return err
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }

// block is the character that fills a part of a cell from below.
func block(part float64) rune {
	blocks := []rune(" ▁▂▃▄▅▆▇█")
	return blocks[min(max(int(part*8+0.5), 0), 8)]
}

// phaseLine writes the name of each phase where it begins.
func phaseLine(points []Point) string {
	line := []byte(strings.Repeat(" ", len(points)))
	for i, p := range points {
		if i == 0 || points[i-1].Phase != p.Phase {
			copy(line[i:], p.Phase)
		}
	}
	return strings.TrimRight(string(line), " ")
}
