package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/webui/api"
)

type backupCommand struct {
	File      string `arg:"" help:"The file to make; - for standard output."`
	NoDevices bool   `help:"Without what was learned of the devices: names, numbers, when they were seen."`
	History   bool   `help:"With what was used each day."`
	Secrets   bool   `help:"With the page's certificate authority, keys of bonds, second factors and passwords of the configuration; needs --seal."`
	Seal      bool   `help:"Seal the file with a passphrase, read from standard input."`
}

func (c *backupCommand) Run(s *session) (err error) {
	if c.Secrets && !c.Seal {
		return usageError(errors.New("secrets are only put into a sealed file: add --seal"))
	}
	devices := !c.NoDevices
	wish := api.BackupWish{Devices: &devices, History: &c.History, Secrets: &c.Secrets}
	if c.Seal {
		passphrase, err := s.password()
		if err != nil {
			return err
		}
		wish.Passphrase = &passphrase
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.MakeBackupWithResponse(s.ctx, wish)
	if err != nil {
		_, err = answered[struct{}](nil, nil, 0, err)
		return err
	}
	if r.StatusCode() != http.StatusOK {
		_, err := answered[struct{}](nil, r.JSONDefault, r.StatusCode(), nil)
		return err
	}
	return s.writeNew(c.File, "the backup", r.Body)
}

// writeNew writes a file that must not exist yet, for its owner alone; "-" is standard output.
func (s *session) writeNew(name, what string, data []byte) error {
	if name == "-" {
		if _, err := s.out.Write(data); err != nil {
			return fmt.Errorf("writing %s: %w", what, err)
		}
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usageError(fmt.Errorf("making the file of %s: %w", what, err))
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", what, err), os.Remove(name))
	}
	fmt.Fprintf(s.errOut, "Wrote %s to %s.\n", what, name)
	return nil
}

type supportCommand struct {
	File string `arg:"" help:"The file to make, a gzipped tar; - for standard output."`
}

func (c *supportCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.GetSupportWithResponse(s.ctx)
	if err != nil {
		_, err = answered[struct{}](nil, nil, 0, err)
		return err
	}
	if r.StatusCode() != http.StatusOK {
		_, err := answered[struct{}](nil, r.JSONDefault, r.StatusCode(), nil)
		return err
	}
	return s.writeNew(c.File, "the support bundle", r.Body)
}

type restoreCommand struct {
	File restoreFileCommand `cmd:"" default:"withargs" help:"Restore a backup (the default): it is tried, and goes back unless it is kept."`
	Keep restoreKeepCommand `cmd:"" help:"Keep the restored backup that is being tried."`
	Back restoreBackCommand `cmd:"" help:"Go back to how it was before, at once."`
}

type restoreFileCommand struct {
	Path    string `arg:"" name:"file" help:"The backup." type:"existingfile"`
	Check   bool   `help:"Only tell what it would change."`
	Seconds int    `help:"How long it is tried." default:"120"`
	Keep    bool   `help:"Keep it as soon as the router is up with it."`
	Config  string `help:"Write the configuration file that is in it here: it is never put in force, its devices being those of another box." placeholder:"FILE"`
}

func (c *restoreFileCommand) Run(s *session) error {
	file, err := os.ReadFile(c.Path)
	if err != nil {
		return usageError(fmt.Errorf("reading the backup: %w", err))
	}
	passphrase := ""
	if backup.Sealed(file) {
		if passphrase, err = s.password(); err != nil {
			return err
		}
	}
	plan, err := s.checkRestore(file, passphrase)
	if err != nil {
		return err
	}
	if c.Config != "" {
		if plan.Config == nil {
			fmt.Fprintln(s.errOut, "The configuration in the backup is the one that is here, or there is none.")
		} else if err := s.writeNew(c.Config, "the configuration", []byte(*plan.Config)); err != nil {
			return err
		}
	}
	if len(plan.Problems) > 0 {
		return exitError{exitNo, fmt.Errorf("this backup cannot be restored here:\n  %s\nnothing was changed", strings.Join(plan.Problems, "\n  "))}
	}
	if c.Check {
		return s.print(plan, func(w io.Writer) { printPlan(w, plan) })
	}
	printPlan(s.errOut, plan)
	state, err := s.restore(plan.Id, c.Seconds)
	if err != nil {
		return err
	}
	if c.Keep {
		return (&restoreKeepCommand{}).Run(s)
	}
	return s.print(state, func(w io.Writer) {
		fmt.Fprintf(w, "The backup is in force for %d seconds. Keep it with \"trenza restore keep\"; else everything goes back.\n", c.Seconds)
	})
}

func printPlan(w io.Writer, p api.RestorePlan) {
	fmt.Fprintf(w, "Backup of %s, by version %s: %d changes of the rules, %d devices, %d sums of days.\n", p.Made.Local().Format(time.DateTime), p.Version, len(p.Changes), p.Devices, p.Days)
	for _, u := range p.Users {
		fmt.Fprintf(w, "  user %s: %s\n", u.Name, u.What)
	}
	for _, text := range p.Warnings {
		fmt.Fprintln(w, "  note:", text)
	}
	if p.Authority {
		fmt.Fprintln(w, "  the page's certificate authority is replaced")
	}
	for _, r := range p.Relays {
		fmt.Fprintf(w, "  the key of bond %s is replaced: no other box may use it from then on\n", r)
	}
}

// checkRestore sends a backup to be looked at.
func (s *session) checkRestore(file []byte, passphrase string) (api.RestorePlan, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	err := form.WriteField("passphrase", passphrase)
	part, ferr := form.CreateFormFile("file", "backup")
	if err = errors.Join(err, ferr); err == nil {
		_, err = part.Write(file)
	}
	if err := errors.Join(err, form.Close()); err != nil {
		return api.RestorePlan{}, fmt.Errorf("sending the backup: %w", err)
	}
	client, err := s.client()
	if err != nil {
		return api.RestorePlan{}, err
	}
	r, err := client.CheckRestoreWithBodyWithResponse(s.ctx, form.FormDataContentType(), &body)
	if err != nil {
		return answered[api.RestorePlan](nil, nil, 0, err)
	}
	return answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
}

// restorePatience is how long the router may take from the beginning of a restore until it answers with the new household.
const restorePatience = 2 * time.Minute

// restore begins, and returns when the router is up with the new household.
func (s *session) restore(id string, seconds int) (api.Restore, error) {
	client, err := s.client()
	if err != nil {
		return api.Restore{}, err
	}
	b, err := client.BeginRestoreWithResponse(s.ctx, api.BeginRestoreJSONRequestBody{Id: id, Seconds: &seconds})
	if err != nil {
		return answered[api.Restore](nil, nil, 0, err)
	}
	if _, err := answered(b.JSON200, b.JSONDefault, b.StatusCode(), nil); err != nil {
		return api.Restore{}, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, restorePatience)
	defer cancel()
	for last := error(nil); ; {
		select {
		case <-ctx.Done():
			return api.Restore{}, fmt.Errorf("waiting for the router to come up with the backup: %w", cmp.Or(last, ctx.Err()))
		case <-time.After(200 * time.Millisecond):
		}
		r, err := client.GetRestoreWithResponse(ctx)
		if last = err; err != nil {
			continue // it is starting anew
		}
		state, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
		switch {
		case err != nil:
			last = err
		case state.Settled:
			return state, nil
		case !state.Running && state.Failed != nil:
			return state, fmt.Errorf("the backup could not be restored, everything is as before: %s", *state.Failed)
		case !state.Running:
			return state, errors.New("the backup went back already; give it more --seconds")
		}
	}
}

type restoreKeepCommand struct{}

func (restoreKeepCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.KeepRestoreWithResponse(s.ctx)
	if err != nil {
		_, err = answered[struct{}](nil, nil, 0, err)
		return err
	}
	state, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
	if err != nil {
		return err
	}
	return s.print(state, func(w io.Writer) { fmt.Fprintln(w, "The backup is kept.") })
}

type restoreBackCommand struct{}

func (restoreBackCommand) Run(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.BackRestoreWithResponse(s.ctx)
	if err != nil {
		_, err = answered[struct{}](nil, nil, 0, err)
		return err
	}
	state, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
	if err != nil {
		return err
	}
	return s.print(state, func(w io.Writer) { fmt.Fprintln(w, "Going back to how it was before.") })
}
