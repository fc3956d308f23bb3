package main

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"vsync/edge/host"
)

// options are what all commands of a device share.
type options struct {
	data    string
	db      string
	feed    string
	token   string
	offline bool
	strict  bool
	noWait  bool
	repair  bool
	timeout time.Duration // without any progress; 0: none
	json    bool
}

const defaultTimeout = 10 * time.Second

// flags are the flags of one command: those of package flag, which may stand before, between and behind the
// arguments, and know what their value is called in help.
type flags struct {
	set   *flag.FlagSet
	cmd   *command
	names []string          // in the order of help
	value map[string]string // "DIR"; nothing for one that has no value
	usage map[string]string
}

var errHelp = errors.New("help was asked for")

func newFlags(cmd *command, o *options) *flags {
	f := &flags{set: flag.NewFlagSet(cmd.name, flag.ContinueOnError), cmd: cmd, value: map[string]string{}, usage: map[string]string{}}
	if cmd.flags != nil {
		cmd.flags(f)
	}
	if !cmd.local {
		f.text(&o.data, "data", or(os.Getenv("VSYNC_DATA"), ".vsync"), "DIR", "where this device keeps its replica (else VSYNC_DATA, else .vsync)")
		f.text(&o.db, "db", or(os.Getenv("VSYNC_DB"), "main"), "NAME", "database (else VSYNC_DB, else main)")
		f.text(&o.feed, "feed", "", "URL", "hub, such as ws://localhost:8787 (else VSYNC_FEED, else that of an earlier command)")
		f.text(&o.token, "token", "", "TEXT", "token for the hub (else VSYNC_TOKEN)")
		f.bool(&o.offline, "offline", "do not connect to the hub")
		f.bool(&o.strict, "strict", "what is written survives power loss, not only the death of a process")
		o.timeout = defaultTimeout
		f.duration(&o.timeout, "timeout", "TIME", "give up when the hub lets nothing move for so long, such as 30s; 0: never (else 10s)")
	}
	f.bool(&o.json, "json", "print JSON, one value a line; errors too")
	return f
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (f *flags) note(name, value, usage string) {
	f.names = append(f.names, name)
	f.value[name], f.usage[name] = value, usage
}

func (f *flags) text(p *string, name, standard, value, usage string) {
	f.note(name, value, usage)
	f.set.StringVar(p, name, standard, usage)
}

func (f *flags) bool(p *bool, name, usage string) {
	f.note(name, "", usage)
	f.set.BoolVar(p, name, false, usage)
}

func (f *flags) number(p *int, name string, standard int, usage string) {
	f.note(name, "N", usage)
	*p = standard
	f.set.Func(name, usage, func(s string) (err error) {
		if *p, err = strconv.Atoi(s); err != nil || *p < 0 {
			return errors.New("expected a whole number that is not negative")
		}
		return nil
	})
}

// duration takes "30s", "2m" and so on; a number alone is seconds.
func (f *flags) duration(p *time.Duration, name, value, usage string) {
	f.note(name, value, usage)
	f.set.Func(name, usage, func(s string) (err error) {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1e9 {
			*p = time.Duration(n) * time.Second
			return nil
		}
		if *p, err = time.ParseDuration(s); err != nil || *p < 0 {
			return errors.New("expected a time such as 500ms, 30s or 2m")
		}
		return nil
	})
}

// list takes a flag that may stand several times, each with one or more values between commas.
func (f *flags) list(p *[]string, name, value, usage string) {
	f.note(name, value, usage)
	f.set.Func(name, usage, func(s string) error {
		*p = append(*p, strings.Split(s, ",")...)
		return nil
	})
}

// parse returns the arguments that are no flags. Behind "--" there are none any more; "-" and negative
// numbers are arguments.
func (f *flags) parse(args []string) (positional []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(positional, args...), nil
		case isHelp(arg) && arg != "help":
			return nil, errHelp
		case len(arg) < 2 || arg[0] != '-' || arg[1] >= '0' && arg[1] <= '9':
			positional = append(positional, arg)
		default:
			if args, err = f.take(arg, args); err != nil {
				return nil, err
			}
		}
	}
	return positional, nil
}

// take sets the flag arg, whose value may be the first of rest.
func (f *flags) take(arg string, rest []string) ([]string, error) {
	name, value, has := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	known := f.set.Lookup(name)
	if known == nil {
		return nil, fail(codeUsage, "vsync %s has no flag %s; `vsync %s --help` lists them", f.cmd.name, arg, f.cmd.name)
	}
	switch {
	case has:
	case f.value[name] == "":
		value = "true"
	case len(rest) == 0:
		return nil, fail(codeUsage, "--%s needs a value: --%s %s", name, name, f.value[name])
	default:
		value, rest = rest[0], rest[1:]
	}
	if err := f.set.Set(name, value); err != nil {
		return nil, fail(codeUsage, "--%s %q: %v", name, value, err)
	}
	return rest, nil
}

func isHelp(arg string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg)
}

func asksForJSON(args []string) bool { return slices.Contains(args, "--json") }

// check looks at what flags name that no package beneath does.
func (o *options) check() error {
	if !host.ValidName(o.db) {
		return fail(codeUsage, "--db %q: the name of a database has 1 to 64 characters of a-z 0-9 . _ -", o.db)
	}
	return nil
}
