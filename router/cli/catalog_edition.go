package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/catalog/edition"
	"github.com/trenza-router/trenza/router/engine"
)

type catalogCompileCommand struct {
	Dir  string `arg:"" help:"Directory with VERSION, categories.yaml and apps/*.yaml." type:"existingdir"`
	File string `arg:"" help:"Where to write the compiled catalogue." type:"path"`
}

func (c *catalogCompileCommand) Run(s *session) error {
	apps, err := catalog.Compile(os.DirFS(c.Dir), filepath.Base(c.Dir))
	if err != nil {
		return exitError{exitNo, err}
	}
	data := apps.Encode()
	if err := os.WriteFile(c.File, data, 0o644); err != nil {
		return fmt.Errorf("writing the compiled catalogue: %w", err)
	}
	summary := summaryOf(apps)
	return s.print(summary, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %v, %d bytes.\n", filepath.Base(c.File), summary, len(data))
	})
}

type catalogKeygenCommand struct {
	File string `arg:"" help:"Where to write the private key; must not exist. The public key is printed." type:"path"`
}

func (c *catalogKeygenCommand) Run(s *session) error {
	public, private, err := edition.GenerateKey()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return exitError{exitNo, fmt.Errorf("%s exists: a key is never written over", c.File)}
	}
	if err == nil {
		_, err = f.Write(private)
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("writing the private key: %w", err)
	}
	key := edition.FormatKey(public)
	return s.print(map[string]string{"public_key": key}, func(w io.Writer) { fmt.Fprintln(w, key) })
}

type catalogSignCommand struct {
	File string `arg:"" help:"A compiled catalogue." type:"existingfile"`
	Out  string `arg:"" help:"Where to write the signed edition." type:"path"`
	Key  string `required:"" help:"Private key file, of \"trenza catalog keygen\"." type:"existingfile"`
}

func (c *catalogSignCommand) Run(s *session) error {
	text, err := os.ReadFile(c.Key)
	if err != nil {
		return usageError(fmt.Errorf("reading the private key: %w", err))
	}
	key, err := edition.ParsePrivateKey(text)
	if err != nil {
		return usageError(fmt.Errorf("%s: %w", c.Key, err))
	}
	compiled, err := os.ReadFile(c.File)
	if err != nil {
		return usageError(fmt.Errorf("reading the compiled catalogue: %w", err))
	}
	signed, err := edition.Sign(compiled, key)
	if err != nil {
		return exitError{exitNo, fmt.Errorf("%s: %w", c.File, err)}
	}
	if err := os.WriteFile(c.Out, signed, 0o644); err != nil {
		return fmt.Errorf("writing the signed edition: %w", err)
	}
	by := edition.FormatKey(key.Public().(ed25519.PublicKey))
	return s.print(map[string]string{"file": c.Out, "signed_by": by}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is signed by %s.\n", c.Out, by)
	})
}

type catalogUpdateCommand struct {
	routersCatalog
	From  string `arg:"" help:"A signed edition: a file, or an http or https address."`
	Older bool   `help:"Take an edition that is older than the one in force."`
}

func (c *catalogUpdateCommand) Run(s *session) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	editions, err := engine.Editions(cfg)
	if err != nil {
		return err
	}
	builtIn, err := catalog.BuiltIn()
	if err != nil {
		return err
	}
	data, err := s.fetch(c.From)
	if err != nil {
		return err
	}
	done, err := editions.Install(data, builtIn, c.Older)
	if errors.Is(err, edition.ErrSame) {
		return s.print(done, func(w io.Writer) { fmt.Fprintf(w, "Nothing to do: %v.\n", err) })
	}
	if errors.Is(err, edition.ErrForged) || errors.Is(err, edition.ErrOlder) || errors.Is(err, catalog.ErrNotCatalogue) {
		return exitError{exitNo, fmt.Errorf("%s is refused, and nothing has changed: %w", c.From, err)}
	}
	if err != nil {
		return asRoot(err)
	}
	return s.print(done, func(w io.Writer) {
		fmt.Fprintf(w, "Version %d takes the place of %d when the router starts next.\n", done.Now, done.Before)
	})
}

// fetch reads a file, or what an address answers, up to the size of the largest edition. Whom it comes from does not matter: the
// signature decides.
func (s *session) fetch(from string) ([]byte, error) {
	if u, err := url.Parse(from); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		f, err := os.Open(from)
		if err != nil {
			return nil, usageError(fmt.Errorf("reading the edition: %w", err))
		}
		defer f.Close()
		return readBounded(from, f)
	}
	q, err := http.NewRequestWithContext(s.ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, usageError(fmt.Errorf("fetching the edition: %w", err))
	}
	r, err := (&http.Client{Timeout: 2 * time.Minute}).Do(q)
	if err != nil {
		return nil, fmt.Errorf("fetching the edition: %w", err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the edition: %s answers %s", from, r.Status)
	}
	return readBounded(from, r.Body)
}

func readBounded(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, edition.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > edition.MaxSize {
		return nil, exitError{exitNo, fmt.Errorf("%s has more than %d bytes: this is no edition of the catalogue", name, edition.MaxSize)}
	}
	return data, nil
}
