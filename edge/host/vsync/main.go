// Vsync is the hub and the command line in one program.
//
//	vsync serve                            many databases for many devices: package host
//	vsync put, get, scan, watch, …         a device: a whole replica in a directory of its own
//
//	command line ─▶ flags ─▶ device: store, replica ─┬─ watcher ◀─▶ hub      (while there is a feed)
//	                                                 └─ command ─▶ stdout, exit code
//
// What a command writes is stored in the directory first; the hub has it when it can be reached. Files are
// the commands, and the steps that they share: flags, device, sync, rows, output, progress, fail.
package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the program is built for others.
var version = "dev"

func main() {
	ctx, stop := interruptible()
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// interruptible returns a context that ends with the first SIGINT or SIGTERM. The second ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitOther)
	}()
	return ctx, cancel
}

// A command is one word of the command line.
type command struct {
	name  string
	args  string // as help shows them: "COLLECTION ID [VALUE|-]"
	brief string // one line
	help  string // what follows it in the command's own help
	min   int    // arguments
	max   int

	flags func(f *flags)                           // those of its own
	local bool                                     // it takes none of the flags that all devices' commands share
	run   func(ctx context.Context, c *call) error // does it
}

// A call is one run of a command.
type call struct {
	options
	args     []string
	in       io.Reader
	out      *bufio.Writer
	err      io.Writer
	progress *progress
}

// run runs the command that args name, and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	c := &call{in: in, out: bufio.NewWriterSize(out, 64<<10), err: errs}
	err := c.do(ctx, args)
	c.progress.end()
	if failed := c.out.Flush(); failed != nil && err == nil {
		err = fail(codeOutput, "what was asked for could not be written: %v", failed)
	}
	if err == nil {
		return exitOK
	}
	return report(errs, err, c.json)
}

func (c *call) do(ctx context.Context, args []string) error {
	if len(args) == 0 || isHelp(args[0]) {
		return c.helpFor(args)
	}
	cmd := find(args[0])
	if cmd == nil {
		return fail(codeUsage, "there is no command %q; `vsync help` lists them", args[0])
	}
	f := newFlags(cmd, &c.options)
	positional, err := f.parse(args[1:])
	if errors.Is(err, errHelp) {
		printCommand(c.out, cmd, f)
		return nil
	}
	c.json = c.json || asksForJSON(args) // an error of the flags themselves is told as asked, too
	if err != nil {
		return err
	}
	if n := len(positional); n < cmd.min || n > cmd.max {
		return fail(codeUsage, "expected: vsync %s %s; `vsync %s --help` says more", cmd.name, cmd.args, cmd.name)
	}
	c.args = positional
	c.progress = newProgress(c.err, c.json)
	return cmd.run(ctx, c)
}

// commands in the order in which help lists them.
func commands() []*command {
	return []*command{
		serveCommand(), keysCommand(), tokenCommand(),
		putCommand(), getCommand(), deleteCommand(), scanCommand(), watchCommand(),
		historyCommand(), diffCommand(), blameCommand(), undoCommand(), revertCommand(),
		conflictsCommand(), resolveCommand(), rulesCommand(),
		importCommand(), exportCommand(),
		syncCommand(), statusCommand(), problemsCommand(), retryCommand(), dismissCommand(), checkCommand(),
		versionCommand(),
	}
}

func find(name string) *command {
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd
		}
	}
	return nil
}
