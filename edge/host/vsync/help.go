package main

import (
	"fmt"
	"io"
	"strings"
)

const intro = `Vsync is an offline-first object database that syncs through a hub. This program is the hub, and it is a
device: a whole replica in a directory. A write is stored there first, and reaches the hub when the hub can
be reached.

  vsync serve                                                       the hub, at ws://localhost:8787
  vsync put --data a --feed ws://localhost:8787 todo 1 '{"text":"milk"}'
  vsync get --data b --feed ws://localhost:8787 todo 1              another device
  vsync watch --data b                                              follows; b remembers its hub

usage: vsync COMMAND [flags] [arguments]

`

const exitTable = `
exit codes
  0  done                                5  another process has the database open, or the port
  1  any other failure                   6  the hub refused a write (see vsync problems), or the token
  2  wrong usage or input                7  not synced in time; what was written is stored here
  3  no such object or database          8  the disk is full or cannot be written
  4  stored data is damaged

An error is one line on stderr: "vsync: CODE: message"; with --json {"code","message","exit"}.
`

const commandWidth = 46

// helpFor prints the help of all, or of the command that follows.
func (c *call) helpFor(args []string) error {
	if len(args) > 1 {
		cmd := find(args[1])
		if cmd == nil {
			return fail(codeUsage, "there is no command %q; `vsync help` lists them", args[1])
		}
		printCommand(c.out, cmd, newFlags(cmd, &options{}))
		return nil
	}
	fmt.Fprint(c.out, intro)
	for _, cmd := range commands() {
		fmt.Fprintf(c.out, "  %-*s %s\n", commandWidth, cmd.name+" "+cmd.args, cmd.brief)
	}
	fmt.Fprint(c.out, "\n`vsync COMMAND --help` says more, and lists the flags. Those that all commands of a device share:\n\n")
	shared := &command{}
	printFlags(c.out, newFlags(shared, &options{}))
	fmt.Fprint(c.out, exitTable)
	return nil
}

func printCommand(w io.Writer, cmd *command, f *flags) {
	fmt.Fprintf(w, "usage: vsync %s\n\n%s%s.\n", strings.TrimSpace(cmd.name+" [flags] "+cmd.args), strings.ToUpper(cmd.brief[:1]), cmd.brief[1:])
	if cmd.help != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.help))
	}
	fmt.Fprint(w, "\nflags\n")
	printFlags(w, f)
}

func printFlags(w io.Writer, f *flags) {
	for _, name := range f.names {
		fmt.Fprintf(w, "  %-18s %s\n", strings.TrimSpace("--"+name+" "+f.value[name]), f.usage[name])
	}
}

func versionCommand() *command {
	return &command{name: "version", brief: "print the program's version", local: true, run: printVersion}
}
