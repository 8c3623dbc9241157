package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal/software"
	"github.com/trenza-router/trenza/router/minisign"
	"github.com/trenza-router/trenza/router/release"
)

type upgradeCommand struct {
	From  string `arg:"" help:"Folder of a release, with SHA256SUMS and its signature: a path, or an http or https address."`
	Key   string `help:"Public key of whoever signs releases; default: the one that came with this one." type:"path" default:"/usr/share/trenza/release.pub"`
	Dir   string `help:"Where the downloaded file and the one before it are kept." type:"path" default:"/var/lib/trenza/releases"`
	Older bool   `help:"Install an older release, or this one again."`
	Check bool   `help:"Only check the signature, and tell what would be installed."`
}

// An upgrade is what the command does, for its answer.
type upgrade struct {
	Version   string `json:"version"`
	Before    string `json:"before"`
	File      string `json:"file"`
	Installed bool   `json:"installed"`
	Restarts  bool   `json:"restarts"` // the machine starts anew into the new system
}

func (c *upgradeCommand) Run(s *session) error {
	from, err := openFolder(c.From)
	if err != nil {
		return usageError(err)
	}
	rel, err := c.open(s.ctx, from)
	if err != nil {
		return err
	}
	up := upgrade{Version: rel.Version.String(), Before: version}
	if running, err := release.ParseVersion(version); err == nil && !c.Older && rel.Version.Compare(running) <= 0 {
		return exitError{exitNo, fmt.Errorf("%s is release %s, and %s is installed: use --older to install it all the same", c.From, rel.Version, version)}
	}
	manager, err := software.Find(s.ctx, software.Options{})
	if err != nil {
		return exitError{exitNo, err}
	}
	up.File, up.Restarts = manager.File(up.Version), manager.Restarts
	if !rel.Has(up.File) {
		return exitError{exitNo, fmt.Errorf("release %s has no %s, which this machine would need", up.Version, up.File)}
	}
	if c.Check {
		return s.print(up, func(w io.Writer) {
			fmt.Fprintf(w, "Release %s is signed and has %s for this machine.\n", up.Version, up.File)
		})
	}
	file, err := c.fetch(s.ctx, from, rel, up.File)
	if err != nil {
		return err
	}
	if err := c.install(s, manager, file, &up); err != nil {
		return err
	}
	return s.print(up, func(w io.Writer) {
		if up.Restarts {
			fmt.Fprintf(w, "Release %s is written to the other slot; the machine restarts into it, and comes back to this one if it is not healthy within five minutes.\n", up.Version)
			return
		}
		fmt.Fprintf(w, "Release %s is installed.\n", up.Version)
	})
}

// open reads and checks a release's list.
func (c *upgradeCommand) open(ctx context.Context, from folder) (release.Release, error) {
	text, err := os.ReadFile(c.Key)
	if err != nil {
		return release.Release{}, usageError(fmt.Errorf("reading the key of whoever signs releases: %w; name it with --key", err))
	}
	key, err := minisign.ParsePublicKey(text)
	if err != nil {
		return release.Release{}, usageError(fmt.Errorf("%s: %w", c.Key, err))
	}
	list, err := from.read(ctx, release.SumsFile, release.MaxList)
	if err != nil {
		return release.Release{}, err
	}
	signature, err := from.read(ctx, release.SignatureFile, release.MaxList)
	if err != nil {
		return release.Release{}, err
	}
	rel, err := release.Open(list, signature, []minisign.PublicKey{key})
	if err != nil {
		return rel, exitError{exitNo, fmt.Errorf("%s: %w; nothing was changed", c.From, err)}
	}
	return rel, nil
}

// maxFile bounds a download: the largest file of a release is a card's slot.
const maxFile = 1 << 30

// fetch brings a file of the release to the directory, whole and checked, and returns its path.
func (c *upgradeCommand) fetch(ctx context.Context, from folder, rel release.Release, name string) (string, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return "", asRoot(fmt.Errorf("making the directory for the release: %w", err))
	}
	to := filepath.Join(c.Dir, filepath.Base(name))
	half := to + ".half"
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", asRoot(fmt.Errorf("making the file for the release: %w", err))
	}
	sum, check := rel.Check(name)
	err = from.copy(ctx, name, io.MultiWriter(f, sum), maxFile)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		if err = check(); err != nil {
			err = exitError{exitNo, fmt.Errorf("%s: %w; nothing was changed", c.From, err)}
		}
	}
	if err == nil {
		err = os.Rename(half, to)
	}
	if err != nil {
		os.Remove(half)
		return "", err
	}
	return to, nil
}

// startPatience is how long a router may take from the installation of its package until it answers.
const startPatience = 2 * time.Minute

// install installs a checked file. When the router ran before and does not come up with it, the file that was installed before is put back, if it is known.
func (c *upgradeCommand) install(s *session, m software.Manager, file string, up *upgrade) error {
	ran := s.answers(s.ctx) == nil
	said, err := m.Install(s.ctx, file)
	if err != nil {
		return fmt.Errorf("installing release %s: %w", up.Version, err)
	}
	fmt.Fprintln(s.errOut, said)
	up.Installed = true
	if m.Restarts {
		return nil // the card's own trial watches
	}
	if ran {
		if err := s.waitForRouter(startPatience); err != nil {
			return c.putBack(s, m, up, err)
		}
	}
	return c.keepAlone(file)
}

// putBack installs the release before again, because of cause.
func (c *upgradeCommand) putBack(s *session, m software.Manager, up *upgrade, cause error) error {
	cause = fmt.Errorf("the router does not come up with release %s: %w", up.Version, cause)
	before := filepath.Join(c.Dir, filepath.Base(m.File(up.Before)))
	if _, err := os.Stat(before); err != nil {
		return fmt.Errorf("%w; the package of release %s was not kept here: install it by hand", cause, up.Before)
	}
	if _, err := m.Install(s.ctx, before); err != nil {
		return fmt.Errorf("%w; and release %s could not be put back: %w", cause, up.Before, err)
	}
	return fmt.Errorf("%w; release %s was put back", cause, up.Before)
}

// keepAlone removes what earlier upgrades left, but the file that is installed now: the next upgrade may need it to come back.
func (c *upgradeCommand) keepAlone(file string) error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("tidying up: %w", err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(file) {
			err = errors.Join(err, os.Remove(filepath.Join(c.Dir, e.Name())))
		}
	}
	return err
}

// answers asks the running router whether it is well.
func (s *session) answers(ctx context.Context) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.GetStatusWithResponse(ctx)
	if err != nil {
		return err
	}
	_, err = answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
	return err
}

// waitForRouter waits until the router answers, several times in a row: one that falls over at once answers, too, now and then.
func (s *session) waitForRouter(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	for row := 0; ; {
		err := s.answers(ctx)
		if row++; err != nil {
			row = 0
		}
		if row == 5 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// A folder is where a release lies.
type folder struct {
	path string   // of a directory; "" when it is at url
	url  *url.URL // with a slash at its end
}

func openFolder(from string) (folder, error) {
	if u, err := url.Parse(from); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/"
		return folder{url: u}, nil
	}
	if info, err := os.Stat(from); err != nil || !info.IsDir() {
		return folder{}, fmt.Errorf("%s is no folder of a release, and no http or https address", from)
	}
	return folder{path: from}, nil
}

// read returns a small file.
func (f folder) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	var b strings.Builder
	err := f.copy(ctx, name, &b, limit)
	return []byte(b.String()), err
}

// transfer bounds one file's way here: the largest over a link of one megabit a second.
const transfer = 3 * time.Hour

// copy writes a file of the folder to w, and fails when it has more than limit bytes.
func (f folder) copy(ctx context.Context, name string, w io.Writer, limit int64) error {
	in, where, err := f.open(ctx, name)
	if err != nil {
		return err
	}
	defer in.Close()
	n, err := io.Copy(w, io.LimitReader(in, limit+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", where, err)
	}
	if n > limit {
		return exitError{exitNo, fmt.Errorf("%s has more than %d bytes: this is no release", where, limit)}
	}
	return nil
}

func (f folder) open(ctx context.Context, name string) (in io.ReadCloser, where string, err error) {
	if f.url == nil {
		where = filepath.Join(f.path, filepath.FromSlash(name))
		in, err = os.Open(where)
		if err != nil {
			return nil, where, usageError(fmt.Errorf("reading the release: %w", err))
		}
		return in, where, nil
	}
	where = f.url.JoinPath(name).String()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, where, usageError(fmt.Errorf("fetching the release: %w", err))
	}
	r, err := (&http.Client{Timeout: transfer}).Do(q)
	if err != nil {
		return nil, where, fmt.Errorf("fetching the release: %w", err)
	}
	if r.StatusCode != http.StatusOK {
		r.Body.Close()
		return nil, where, fmt.Errorf("fetching the release: %s answers %s", where, r.Status)
	}
	return r.Body, where, nil
}
