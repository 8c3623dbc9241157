package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// OptionsFile is the name of the file in a package's folder that says what guest its tests want.
const OptionsFile = "vm.options"

// Options say what guest a job wants.
type Options struct {
	Memory int      // MiB
	Hide   []string // kernel modules that the guest does not have
}

// Defaults are the options of a package that says nothing.
func Defaults() Options { return Options{Memory: 1024} }

// ParseOptions reads the text of an options file: a key and its values a line, with # comments.
//
//	memory 1536                the guest's memory in MiB
//	hide sch_cake nft_queue    kernel modules that are missing
func ParseOptions(text string) (Options, error) {
	o := Defaults()
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch key, values := words[0], words[1:]; {
		case key == "memory" && len(values) == 1:
			var err error
			if o.Memory, err = strconv.Atoi(values[0]); err != nil || o.Memory < 256 {
				return o, fmt.Errorf("line %d: memory %s: want a number of MiB, at least 256", n, values[0])
			}
		case key == "hide" && len(values) > 0:
			for _, module := range values {
				if strings.ContainsAny(module, "/*'\"$`;&|") {
					return o, fmt.Errorf("line %d: %q is no module's name", n, module)
				}
			}
			o.Hide = append(o.Hide, values...)
		default:
			return o, fmt.Errorf("line %d: %q: want `memory MIB` or `hide MODULE...`", n, strings.TrimSpace(line))
		}
	}
	return o, nil
}

// ReadOptions reads the options file of a folder, if there is one.
func ReadOptions(dir string) (Options, error) {
	path := filepath.Join(dir, OptionsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Defaults(), nil
	}
	if err != nil {
		return Options{}, fmt.Errorf("read the guest's options: %w", err)
	}
	o, err := ParseOptions(string(text))
	if err != nil {
		return o, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}
