package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/trenza-router/trenza/router/census"
)

// version is set by the linker; see the Makefile.
var version = "dev"

// Exit codes.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitNoRouter
	exitNo
)

// commands is the whole command line.
type commands struct {
	JSON   bool   `name:"json" help:"Print JSON, as the API answers."`
	Socket string `name:"socket" help:"Control socket of the router to ask; default: that of a running lab, else /run/trenza/trenza.sock." env:"TRENZA_SOCKET" type:"path"`

	Router   routerCommand   `cmd:"" help:"Run the router in this network namespace."`
	Status   statusCommand   `cmd:"" help:"Links, devices and warnings of the running router."`
	Why      whyCommand      `cmd:"" help:"Which link a flow takes, and why."`
	QoS      qosCommand      `cmd:"" name:"qos" help:"How links are shaped, and what each class of each device gets."`
	Policy   policyCommand   `cmd:"" help:"Check, show, change and compare the rules."`
	Bond     bondCommand     `cmd:"" help:"Several links as one path, to a relay."`
	Relay    relayCommand    `cmd:"" help:"The far end of bonds: many routers, one way out."`
	User     userCommand     `cmd:"" help:"Who may sign in on the page."`
	Catalog  catalogCommand  `cmd:"" help:"Look into the applications that the router knows, check own ones, and update them."`
	Classify classifyCommand `cmd:"" help:"What the flows of capture files are."`
	Capture  captureCommand  `cmd:"" help:"What a device sends and gets, in a file, with what each flow is."`
	Filter   filterCommand   `cmd:"" help:"What the filter did."`
	Doctor   doctorCommand   `cmd:"" help:"What this machine has, what is missing, and what serves instead."`
	Links    linksCommand    `cmd:"" help:"Devices that are or could be links: what is plugged in, and how it is."`
	Lan      lanCommand      `cmd:"" help:"The household's side: devices, addresses, guests."`
	Link     linkCommand     `cmd:"" help:"Add a relay as a link, and take it away."`
	Wifi     wifiCommand     `cmd:"" help:"WiFi networks as links: scan, join, forget."`
	Modem    modemCommand    `cmd:"" help:"3G/LTE modems: PIN, connection, short messages."`
	Upgrade  upgradeCommand  `cmd:"" help:"Install a signed release, from a folder or an address."`
	Backup   backupCommand   `cmd:"" help:"Rules, users and devices in one file, for another box or another day."`
	Restore  restoreCommand  `cmd:"" help:"Put a backup in force, and go back unless it is kept."`
	Support  supportCommand  `cmd:"" help:"What someone who helps needs to see, in one file without secrets."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	labCommands `embed:""`
}

// session is what a command gets to work with.
type session struct {
	ctx    context.Context
	out    io.Writer
	errOut io.Writer
	json   bool
	socket string
}

// exitError is an error that asks for an exit code of its own; a nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func usageError(err error) error { return exitError{exitUsage, err} }

// print writes v as JSON, or as text by f.
func (s *session) print(v any, f func(w io.Writer)) error {
	if !s.json {
		f(s.out)
		return nil
	}
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing the answer: %w", err)
	}
	return nil
}

// Main runs one command line and returns the exit code.
func Main(args []string) int { return run(args, os.Stdout, os.Stderr) }

func run(args []string, out, errOut io.Writer) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("trenza"), kong.Writers(out, errOut), kong.UsageOnError(),
		kong.Vars{"config": defaultConfig, "flows": strconv.Itoa(census.DefaultFlows)},
		kong.Description("A router that braids several weak internet links into one good connection."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Exit(func(code int) { panic(exited(code)) }))
	if err != nil {
		fmt.Fprintln(errOut, "trenza:", err)
		return exitFailed
	}
	return safely(func() int {
		if len(args) == 0 {
			args = []string{"--help"}
		}
		k, err := parser.Parse(args)
		if err != nil {
			fmt.Fprintln(errOut, "trenza:", err)
			return exitUsage
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		s := &session{ctx: ctx, out: out, errOut: errOut, json: c.JSON, socket: c.Socket}
		return s.code(k.Run(s))
	})
}

// exited carries the code of kong's own exits (help) up to run.
type exited int

func safely(f func() int) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exited)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	return f()
}

func (s *session) code(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var e exitError
	if errors.As(err, &e) {
		code = e.code
	}
	if !errors.As(err, &e) || e.err != nil {
		fmt.Fprintln(s.errOut, "trenza:", err)
	}
	return code
}

type versionCommand struct{}

func (versionCommand) Run(s *session) error {
	return s.print(map[string]string{"version": version}, func(w io.Writer) { fmt.Fprintln(w, "trenza", version) })
}
