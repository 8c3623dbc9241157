package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
)

const maxFile = 1 << 20

// ReadFile reads the configuration file of one end of a bond; of says which, for messages.
func ReadFile(path, of string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the %s's configuration: %w; the shortest one that works is in docs/BOND.md", of, err)
	}
	return text, nil
}

// Decode reads a configuration over the defaults that stand in c; name is the file's, for messages.
func Decode(name string, text []byte, c any) error {
	if len(text) > maxFile {
		return fmt.Errorf("%s: larger than %d bytes: this is not a configuration", name, maxFile)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
