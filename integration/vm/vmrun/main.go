// Command vmrun runs Go test programs in virtual machines; package vm says what they find there.
//
//	vmrun build                        make the image ready
//	vmrun exec PROGRAM [ARGUMENT...]   what `go test -exec "vmrun exec"` calls; the exit code is the program's
//	vmrun shell                        a person's shell on a guest's console
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/trenza-router/trenza/integration/vm"
)

// exitFailed is the exit code when there is no result of the program: none of those that Go's tests use.
const exitFailed = 125

const usage = "usage: vmrun build | vmrun exec PROGRAM [ARGUMENT...] | vmrun shell"

func main() {
	// go test ends a program that takes too long with SIGQUIT; its guest must not stay behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmrun:", err)
		code = exitFailed
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (code int, err error) {
	if len(args) == 0 {
		return 0, errors.New(usage)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	command, args := args[0], args[1:]
	switch {
	case command == "build" && len(args) == 0:
	case command == "shell" && len(args) == 0:
	case command == "exec" && len(args) > 0:
	default:
		return 0, errors.New(usage)
	}
	image, err := vm.Ready(ctx, log)
	if err != nil {
		return 0, err
	}
	defer image.Close()
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	switch command {
	case "exec":
		job, err := vm.TestJob(dir, args[0], args[1:])
		if err != nil {
			return 0, err
		}
		job.Output, job.Log = os.Stdout, log
		return image.Run(ctx, job)
	case "shell":
		job, err := vm.ShellJob(dir)
		if err != nil {
			return 0, err
		}
		job.Log = log
		return 0, image.Shell(ctx, job)
	}
	return 0, nil
}
