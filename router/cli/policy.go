package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/webui/api"
)

type policyCommand struct {
	Check  policyCheckCommand  `cmd:"" help:"Check a policy file; needs no running router."`
	Show   policyShowCommand   `cmd:"" help:"Print the policy in force."`
	Import policyImportCommand `cmd:"" help:"Check a policy file and put it in force."`
	Export policyExportCommand `cmd:"" help:"Write the policy in force to a file."`
	Diff   policyDiffCommand   `cmd:"" help:"Compare a policy file with the policy in force, or with another file."`
}

func readPolicy(path string) (policy.Policy, []byte, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(os.Stdin, 16<<20))
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return policy.Policy{}, nil, usageError(fmt.Errorf("reading the policy: %w", err))
	}
	p, err := policy.Parse(path, data)
	if err != nil {
		return policy.Policy{}, nil, exitError{exitNo, err}
	}
	return p, data, nil
}

type policyCheckCommand struct {
	routersCatalog
	File string `arg:"" help:"Policy file; - for standard input."`
}

func (c *policyCheckCommand) Run(s *session) error {
	p, _, err := readPolicy(c.File)
	if err != nil {
		return err
	}
	apps, err := c.load(s)
	if err != nil {
		return err
	}
	compiled, warnings, err := policy.Compile(p, engine.KnownTo(apps, nil))
	if err != nil {
		return exitError{exitNo, fmt.Errorf("%s: %w", c.File, err)}
	}
	result := api.PolicyCheck{Problems: []string{}, Warnings: []string{}, Findings: []string{}, Changes: []api.Change{}}
	for _, w := range warnings {
		result.Warnings = append(result.Warnings, w.String())
	}
	for _, f := range compiled.Findings() {
		result.Findings = append(result.Findings, f.Text)
	}
	return s.print(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s is good: %d house rules, %d personal rules.\n", c.File, len(p.Main), len(p.User))
		for _, text := range append(result.Warnings, result.Findings...) {
			fmt.Fprintln(w, "note:", text)
		}
	})
}

// inForce asks for the policy in force.
func (s *session) inForce() (*api.ClientWithResponses, api.Policy, error) {
	client, err := s.client()
	if err != nil {
		return nil, api.Policy{}, err
	}
	r, err := client.GetPolicyWithResponse(s.ctx)
	if err != nil {
		r = &api.GetPolicyResponse{}
	}
	p, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	return client, p, err
}

type policyShowCommand struct{}

func (policyShowCommand) Run(s *session) error {
	_, p, err := s.inForce()
	if err != nil {
		return err
	}
	return s.print(p, func(w io.Writer) { fmt.Fprint(w, p.Text) })
}

type policyExportCommand struct {
	File string `arg:"" help:"Where to write it; a file that exists is replaced."`
}

func (c *policyExportCommand) Run(s *session) error {
	_, p, err := s.inForce()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.File, []byte(p.Text), 0o600); err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	return s.print(p, func(w io.Writer) { fmt.Fprintf(w, "Wrote version %d to %s.\n", p.Version, c.File) })
}

type policyImportCommand struct {
	File string `arg:"" help:"Policy file; - for standard input."`
	By   string `help:"Who changes it, for the history; default: the user name."`
}

func (c *policyImportCommand) Run(s *session) error {
	_, data, err := readPolicy(c.File)
	if err != nil {
		return err
	}
	if c.By == "" {
		if u, err := user.Current(); err == nil {
			c.By = u.Username
		}
	}
	client, before, err := s.inForce()
	if err != nil {
		return err
	}
	r, err := client.PutPolicyWithBodyWithResponse(s.ctx, &api.PutPolicyParams{By: &c.By, Version: &before.Version},
		"application/yaml", bytes.NewReader(data))
	if err != nil {
		r = &api.PutPolicyResponse{}
	}
	p, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	return s.print(p, func(w io.Writer) {
		fmt.Fprintf(w, "Version %d is in force.\n", p.Version)
		for _, text := range append(p.Warnings, p.Findings...) {
			fmt.Fprintln(w, "note:", text)
		}
	})
}

type policyDiffCommand struct {
	File  string `arg:"" help:"The new policy; - for standard input."`
	Other string `arg:"" optional:"" help:"The old policy; default: the one in force."`
}

func (c *policyDiffCommand) Run(s *session) error {
	if c.File == "-" && c.Other == "-" {
		return usageError(errors.New("only one of the policies can come from standard input"))
	}
	next, _, err := readPolicy(c.File)
	if err != nil {
		return err
	}
	var prev policy.Policy
	if c.Other != "" {
		prev, _, err = readPolicy(c.Other)
	} else {
		var p api.Policy
		if _, p, err = s.inForce(); err == nil {
			prev, err = policy.Parse("policy in force", []byte(p.Text))
		}
	}
	if err != nil {
		return err
	}
	changes := api.Changes(policy.Diff(prev, next))
	return s.print(changes, func(w io.Writer) {
		if len(changes) == 0 {
			fmt.Fprintln(w, "No difference.")
		}
		for _, ch := range changes {
			fmt.Fprintf(w, "%s %s %s\n", ch.What, ch.Entry, ch.Id)
			for _, f := range ch.Fields {
				fmt.Fprintf(w, "  %s: %s -> %s\n", f.Field, orNothing(f.Before), orNothing(f.After))
			}
		}
	})
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}
