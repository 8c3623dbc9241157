package release

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/minisign"
)

// Names of the two files that make a folder a release.
const (
	SumsFile      = "SHA256SUMS"
	SignatureFile = SumsFile + ".minisig"
)

// MaxList bounds both files, in bytes.
const MaxList = 1 << 20

const program = "trenza"

// ErrChanged says that a file is not the one that was published.
var ErrChanged = errors.New("the file is not the one that was published")

// Sum is a file's entry: 64 digits, hexadecimal and small.
func Sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// Format is the text of the list; sums are by path, with slashes.
func Format(sums map[string]string) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&b, "%s  %s\n", sums[name], name)
	}
	return []byte(b.String())
}

// Sign is the text of the signature of a list.
func Sign(list []byte, version string, key minisign.PrivateKey) (string, error) {
	return key.Sign(list, program+" "+version)
}

// A Release is what a signed list says.
type Release struct {
	Version Version
	sums    map[string]string
}

// Open checks the signature of a list, which is a stranger's until then, and reads it. It wraps minisign.ErrForged when no key made the signature.
func Open(list, signature []byte, keys []minisign.PublicKey) (Release, error) {
	if len(keys) == 0 {
		return Release{}, errors.New("no key is known whose releases are taken")
	}
	var (
		comment string
		err     error
	)
	for _, key := range keys {
		if comment, err = key.Verify(list, signature); err == nil {
			break
		}
	}
	if err != nil {
		return Release{}, fmt.Errorf("checking the signature of %s: %w", SumsFile, err)
	}
	text, ours := strings.CutPrefix(comment, program+" ")
	version, err := ParseVersion(text)
	if !ours || err != nil {
		return Release{}, fmt.Errorf("the signature is for %q, not for a release of %s", comment, program)
	}
	sums, err := parse(string(list))
	return Release{version, sums}, err
}

func parse(list string) (map[string]string, error) {
	sums := map[string]string{}
	for line := range strings.Lines(list) {
		sum, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if _, err := hex.DecodeString(sum); !found || err != nil || len(sum) != 2*sha256.Size || strings.ToLower(sum) != sum || name == "" {
			return nil, fmt.Errorf("%s: %q is no entry of a list of sums", SumsFile, line)
		}
		if sums[name] != "" {
			return nil, fmt.Errorf("%s: %s is listed twice", SumsFile, name)
		}
		sums[name] = sum
	}
	return sums, nil
}

// Has says whether a file is part of the release.
func (r Release) Has(name string) bool { return r.sums[name] != "" }

// Check returns a writer that a file's bytes go to, and a function that tells afterwards whether it was the one of that name.
func (r Release) Check(name string) (io.Writer, func() error) {
	h := sha256.New()
	return h, func() error {
		if got := hex.EncodeToString(h.Sum(nil)); !r.Has(name) || got != r.sums[name] {
			return fmt.Errorf("%s: %w", name, ErrChanged)
		}
		return nil
	}
}

// A Version is three numbers.
type Version [3]int

// ParseVersion reads "1.2.3".
func ParseVersion(text string) (Version, error) {
	m := regexp.MustCompile(`^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$`).FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q is no version: three numbers, as 1.2.3", text)
	}
	var v Version
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // at most nine digits
	}
	return v, nil
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Compare is negative when v is before o, 0 when they are equal.
func (v Version) Compare(o Version) int { return slices.Compare(v[:], o[:]) }
