package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/trenza-router/trenza/webui/api"
)

type userCommand struct {
	List     userListCommand     `cmd:"" default:"1" help:"Who may sign in (the default)."`
	Add      userAddCommand      `cmd:"" help:"Let someone in; the password is read from standard input."`
	Password userPasswordCommand `cmd:"" help:"Set a new password, read from standard input, and take the second factor away: for someone who lost them."`
}

type userListCommand struct{}

func (userListCommand) Run(s *session) error {
	users, err := s.users()
	if err != nil {
		return err
	}
	return s.print(users, func(w io.Writer) {
		table(w, func(t io.Writer) {
			fmt.Fprintln(t, "NAME\tROLE\tPERSON\tSECOND FACTOR")
			for _, u := range users {
				person := ""
				if u.Person != nil {
					person = *u.Person
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%v\n", u.Name, u.Role, person, u.Totp)
			}
		})
	})
}

func (s *session) users() ([]api.User, error) {
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	r, err := c.ListUsersWithResponse(s.ctx)
	if err != nil {
		return answered[[]api.User](nil, nil, 0, err)
	}
	return answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
}

type userAddCommand struct {
	Name   string `arg:""`
	Role   string `help:"admin, viewer or member." default:"admin"`
	Person string `help:"The person of the policy that a member is."`
}

func (c *userAddCommand) Run(s *session) error {
	password, err := s.password()
	if err != nil {
		return err
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	body := api.NewUser{Name: c.Name, Password: password, Role: api.Role(c.Role)}
	if c.Person != "" {
		body.Person = &c.Person
	}
	r, err := client.AddUserWithResponse(s.ctx, body)
	if err != nil {
		_, err = answered[api.User](nil, nil, 0, err)
		return err
	}
	u, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
	if err != nil {
		return err
	}
	return s.print(u, func(w io.Writer) { fmt.Fprintf(w, "%s may sign in as %s.\n", u.Name, u.Role) })
}

type userPasswordCommand struct {
	Name string `arg:""`
}

func (c *userPasswordCommand) Run(s *session) error {
	users, err := s.users()
	if err != nil {
		return err
	}
	for _, u := range users {
		if !strings.EqualFold(u.Name, c.Name) {
			continue
		}
		password, err := s.password()
		if err != nil {
			return err
		}
		client, err := s.client()
		if err != nil {
			return err
		}
		yes := true
		r, err := client.ChangeUserWithResponse(s.ctx, u.Id, api.UserChange{Password: &password, RemoveTotp: &yes})
		if err != nil {
			_, err = answered[api.User](nil, nil, 0, err)
			return err
		}
		changed, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), nil)
		if err != nil {
			return err
		}
		return s.print(changed, func(w io.Writer) { fmt.Fprintf(w, "%s has a new password.\n", changed.Name) })
	}
	return exitError{exitNo, fmt.Errorf("there is no user %q; \"trenza user list\" lists them", c.Name)}
}

// password reads a password; it is never an argument, which everyone on the machine could read.
func (s *session) password() (string, error) {
	fmt.Fprint(s.errOut, "Password (one line): ")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.Join(errors.New("no password was given on standard input"), err)
	}
	return line, nil
}
