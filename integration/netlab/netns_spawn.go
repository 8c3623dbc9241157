package netlab

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Process is a program that runs in one of the lab's namespaces.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	stop context.CancelFunc
	err  error
}

// PID returns the program's process number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the program ended, after Done.
func (p *Process) Err() error { return p.err }

// Stop ends the program (SIGTERM, and SIGKILL 2 s later) and waits for that.
func (p *Process) Stop() {
	p.stop()
	<-p.done
}

// Kill ends the program by SIGKILL, as a crash would, and waits for that.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // gone already: Done says so
	<-p.done
}

// Spawn starts a program in a namespace of the lab. It ends with the lab at the
// latest; what it prints goes to log/<title>.log in the lab's folder.
func (l *Lab) Spawn(n *Namespace, title, name string, args ...string) (*Process, error) {
	if l.ctx.Err() != nil {
		return nil, fmt.Errorf("start %s: %w", title, context.Cause(l.ctx))
	}
	logs := filepath.Join(l.dir, "log")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", title, err)
	}
	path := filepath.Join(logs, title+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", title, err)
	}
	defer out.Close()
	ctx, stop := context.WithCancel(l.ctx)
	cmd := n.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("start %s in %s: %w", title, n.name, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{}), stop: stop}
	l.wg.Go(func() {
		defer stop()
		defer close(p.done)
		if err := cmd.Wait(); err != nil {
			p.err = fmt.Errorf("%s in %s ended: %w; its output ends with: %s", title, n.name, err, tail(path))
		}
	})
	// The kill of the lab's process a moment before this is covered: what runs in
	// our namespaces is found without being named.
	if id, err := processOf(fmt.Sprint(cmd.Process.Pid)); err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.state.Processes = slices.DeleteFunc(l.state.Processes, func(p process) bool { return !p.alive() })
		l.state.Processes = append(l.state.Processes, id)
		if err := l.state.save(l.dir); err != nil {
			stop()
			return nil, err
		}
	}
	return p, nil
}

// tail returns the last lines of a log.
func tail(path string) string {
	const most = 2000 // bytes
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd) // else the beginning is what is shown
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
