package scenario

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
)

// A Script is a story that can be told in a world.
type Script struct {
	File  string
	Name  string
	About string // in one sentence
	only  []string
	steps []step
}

// A step is one line.
type step struct {
	line int
	text string
	do   action
}

type action func(ctx context.Context, r *run) error

// In says whether a script is for a world of this name.
func (s *Script) In(world string) bool {
	for _, name := range s.only {
		if name == world {
			return true
		}
	}
	return len(s.only) == 0
}

var worlds = map[string]bool{"memory": true, "socket": true, "indexeddb": true}

type parser struct {
	script  *Script
	devices map[string]bool // declared so far
	watches map[string]bool
	taken   func(name string) bool // by a verb
}

// Parse reads a script. The error is a *SyntaxError.
func Parse(file, text string) (*Script, error) {
	name := strings.TrimSuffix(path.Base(file), ".txt")
	p := &parser{script: &Script{File: file, Name: name}, devices: map[string]bool{}, watches: map[string]bool{}}
	p.taken = func(name string) bool { _, is := verbs[name]; return is || reserved[name] }
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if about, is := strings.CutPrefix(line, "#"); is && len(p.script.steps) == 0 {
			p.script.About = strings.TrimSpace(p.script.About + " " + strings.TrimSpace(about))
		}
		list, err := cut(line)
		if err != nil {
			return nil, &SyntaxError{file, i + 1, "words, and values in JSON", err.Error()}
		}
		if len(list) == 0 {
			continue
		}
		if p.script.About == "" {
			return nil, &SyntaxError{file, i + 1, "a comment first, that says in a sentence what the script shows", strconv.Quote(line)}
		}
		w := &words{list: list}
		do := p.step(w)
		w.end()
		if w.err != nil {
			w.err.File, w.err.Line = file, i+1
			return nil, w.err
		}
		p.script.steps = append(p.script.steps, step{i + 1, strings.Join(list, " "), do})
	}
	return p.script, nil
}

func (p *parser) step(w *words) action {
	verb := w.next("a step")
	switch {
	case p.devices[verb]:
		return p.deviceStep(verb, w)
	case p.watches[verb]:
		w.name("stop", map[string]bool{"stop": true})
		return func(_ context.Context, r *run) error { return r.watches[verb].stop() }
	case verb == "expect":
		return p.expectation(w)
	case verb == "refused":
		code := w.next("a code")
		do := p.deviceStep(w.name("a device", p.devices), w)
		return func(ctx context.Context, r *run) error { return refusedWith(code, do(ctx, r)) }
	case verb == "hub":
		w.name("checkpoint", map[string]bool{"checkpoint": true})
		return func(ctx context.Context, r *run) error { return r.world.HubCheckpoint(ctx) }
	}
	if parse, is := verbs[verb]; is {
		return parse(p, w)
	}
	w.fail("a step, or the name of a device", strconv.Quote(verb))
	return nil
}

// verbs are the steps that do not begin with a device.
var verbs = map[string]func(*parser, *words) action{
	"only": func(p *parser, w *words) action {
		for ok := true; ok; ok = !w.empty() {
			p.script.only = append(p.script.only, w.name("a world", worlds))
		}
		return nothing
	},
	"device": func(p *parser, w *words) action {
		names := []string{p.newName(w, p.devices)}
		for !w.empty() {
			names = append(names, p.newName(w, p.devices))
		}
		return func(ctx context.Context, r *run) error {
			for _, name := range names {
				if err := r.newDevice(ctx, name); err != nil {
					return err
				}
			}
			return nil
		}
	},
	"connect": eachDevice((*device).connect),
	"offline": eachDevice((*device).offline),
	"cut":     eachDevice((*device).cutOff),
	"heal":    eachDevice((*device).heal),
	"close":   hubOr((World).HubClose, (*device).close, false),
	"open":    hubOr((World).HubOpen, (*device).open, false),
	"full":    eachDevice(func(d *device, _ context.Context) error { d.disk.SetFull(true); return nil }),
	"room":    eachDevice(func(d *device, _ context.Context) error { d.disk.SetFull(false); return nil }),
	"backup":  hubOr((World).HubBackup, (*device).backUp, false),
	"restore": hubOr((World).HubRestore, (*device).restore, true),
	"lose":    eachDevice((*device).lose),
	"sync": func(p *parser, w *words) action {
		names := p.names(w)
		return func(ctx context.Context, r *run) error { return r.sync(ctx, names) }
	},
	"crash": hubOr((World).HubCrash, (*device).crash, false),
	"empty": onHub((World).HubEmpty),
	"wipe":  onHub((World).HubWipe),
	"clone": func(p *parser, w *words) action {
		from := w.name("a device", p.devices)
		w.name("as", map[string]bool{"as": true})
		to := p.newName(w, p.devices)
		return func(ctx context.Context, r *run) error { return r.clone(ctx, from, to) }
	},
	"powercut": func(p *parser, w *words) action {
		name := w.name("a device", p.devices)
		n := w.number("a number of commits")
		return func(ctx context.Context, r *run) error { return r.devices[name].powerCut(ctx, n) }
	},
	"clock": func(p *parser, w *words) action {
		name := w.name("a device", p.devices)
		n := w.number("milliseconds, as +N or -N")
		return func(_ context.Context, r *run) error { r.devices[name].skew.Add(int64(n)); return nil }
	},
	"spoil": func(p *parser, w *words) action {
		v := p.version(w)
		return func(_ context.Context, r *run) error { return r.spoil(v) }
	},
	"forge": func(p *parser, w *words) action {
		name := w.name("a device", p.devices)
		w.name("as", map[string]bool{"as": true})
		as := w.name("a device", p.devices)
		return func(_ context.Context, r *run) error { r.devices[name].line.forge(r.ids[as]); return nil }
	},
	"break":  onLine((*line).breakAfter),
	"garble": onLine((*line).garbleAfter),
}

// hubOr is what happens to the hub, which may lose data by it, or to devices.
func hubOr(hub func(World, context.Context) error, devices func(*device, context.Context) error, loses bool) func(*parser, *words) action {
	return func(p *parser, w *words) action {
		switch {
		case !w.take("hub"):
			return eachDevice(devices)(p, w)
		case loses:
			return losing(hub)
		}
		return func(ctx context.Context, r *run) error { return hub(r.world, ctx) }
	}
}

// onHub is how the hub alone loses data.
func onHub(do func(World, context.Context) error) func(*parser, *words) action {
	return func(_ *parser, w *words) action {
		w.name("hub", map[string]bool{"hub": true})
		return losing(do)
	}
}

func losing(do func(World, context.Context) error) action {
	return func(ctx context.Context, r *run) error {
		return r.hubLoses(func() error { return do(r.world, ctx) })
	}
}

// onLine is what happens to a device's line after so many frames.
func onLine(do func(l *line, frames int, up bool)) func(*parser, *words) action {
	return func(p *parser, w *words) action {
		name := w.name("a device", p.devices)
		w.name("after", map[string]bool{"after": true})
		n := w.number("a number of frames")
		way := w.name("down or up", map[string]bool{"down": true, "up": true})
		return func(_ context.Context, r *run) error { do(r.devices[name].line, n, way == "up"); return nil }
	}
}

func nothing(context.Context, *run) error { return nil }

func eachDevice(do func(*device, context.Context) error) func(*parser, *words) action {
	return func(p *parser, w *words) action {
		names := p.names(w)
		return func(ctx context.Context, r *run) error {
			for _, name := range names {
				if err := do(r.devices[name], ctx); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

// names takes devices to the end of the line.
func (p *parser) names(w *words) []string {
	list := []string{w.name("a device", p.devices)}
	for !w.empty() {
		list = append(list, w.name("a device", p.devices))
	}
	return list
}

// reserved are words that would make a line ambiguous as a name.
var reserved = map[string]bool{"hub": true, "expect": true, "refused": true, "start": true, "now": true, "nothing": true, "as": true}

func (p *parser) newName(w *words, among map[string]bool) string {
	const expected = "a new name, [a-z]+"
	name := w.next(expected)
	if w.err != nil {
		return ""
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" || p.devices[name] || p.watches[name] || p.taken(name) || name == "" {
		w.fail(expected, strconv.Quote(name))
		return ""
	}
	among[name] = true
	return name
}

// deviceStep is what one device's application does.
func (p *parser) deviceStep(name string, w *words) action {
	do := p.deed(name, w)
	return func(ctx context.Context, r *run) error {
		if r.devices[name].Replica == nil {
			return fmt.Errorf("%s is closed", name)
		}
		return do(ctx, r)
	}
}

func (p *parser) deed(name string, w *words) action {
	switch verb := w.next("what " + name + " does"); verb {
	case "strict":
		return p.batch(name, w.next("put, del or batch"), w, store.Strict)
	case "put", "del", "batch":
		return p.batch(name, verb, w, store.Relaxed)
	case "fill":
		collection, n, value := w.next("a collection"), w.number("a number of objects"), w.value()
		if n < 1 || n > change.MaxMutations {
			w.fail("as many objects as a batch may have", strconv.Itoa(n))
		}
		return func(ctx context.Context, r *run) error { return r.devices[name].fill(ctx, collection, n, value) }
	case "rules":
		collection, n, rules := w.next("a collection"), w.number("a version"), w.value()
		if w.err == nil && n < 1 {
			w.fail("a version", strconv.Itoa(n))
		}
		return func(ctx context.Context, r *run) error { return r.devices[name].rules(ctx, collection, n, rules) }
	case "pick":
		key, v := w.key(), p.version(w)
		return func(ctx context.Context, r *run) error { return r.devices[name].pick(ctx, key, v) }
	case "retry", "dismiss":
		v := p.version(w)
		return func(ctx context.Context, r *run) error { return r.devices[name].settle(ctx, verb, v) }
	case "checkpoint":
		return func(ctx context.Context, r *run) error { return r.devices[name].Checkpoint(ctx) }
	case "watch":
		return p.watch(name, w)
	default:
		w.fail("put, del, batch, strict, fill, rules, pick, retry, dismiss, checkpoint or watch", strconv.Quote(verb))
		return nil
	}
}

// An opWords is a mutation before its versions have got their meaning.
type opWords struct {
	op            core.Op
	seeing, check bool
	versions      []version
}

func (p *parser) op(verb string, w *words) (o opWords) {
	if verb != "put" && verb != "del" {
		w.fail("put or del", strconv.Quote(verb))
	}
	o.op.Key = w.key()
	if o.op.Delete = verb == "del"; !o.op.Delete {
		o.op.Value = w.value()
	}
	switch {
	case w.take("seeing"):
		o.seeing = true
	case w.take("if"):
		o.check = true
	default:
		return o
	}
	if !w.take("nothing") {
		o.versions = p.versions(w)
	}
	return o
}

func (p *parser) batch(name, verb string, w *words, durability store.Durability) action {
	if verb != "batch" {
		return p.write(name, []opWords{p.op(verb, w)}, durability)
	}
	if w.take("nothing") {
		return p.write(name, nil, durability)
	}
	ops := []opWords{p.op(w.next("put or del"), w)}
	for w.take(";") {
		ops = append(ops, p.op(w.next("put or del"), w))
	}
	return p.write(name, ops, durability)
}

func (p *parser) write(name string, ops []opWords, durability store.Durability) action {
	return func(ctx context.Context, r *run) error {
		batch := core.Write{Durability: &durability}
		for _, o := range ops {
			vs, err := r.actual(o.versions)
			if err != nil {
				return err
			}
			if o.seeing {
				o.op.Seen = append([]change.Version{}, vs...)
			}
			if o.check {
				batch.Checks = append(batch.Checks, core.Check{Key: o.op.Key, Frontier: vs})
			}
			batch.Ops = append(batch.Ops, o.op)
		}
		_, err := r.devices[name].Write(ctx, batch)
		return err
	}
}

func (p *parser) watch(name string, w *words) action {
	watch := p.newName(w, p.watches)
	w.name("from", map[string]bool{"from": true})
	from := w.next("start, now, a watch, or a marker")
	if text, err := strconv.Unquote(from); err == nil && strings.HasPrefix(from, `"`) {
		return func(ctx context.Context, r *run) error { return r.watch(ctx, name, watch, text) }
	}
	if w.err == nil && from != core.FromStart && from != core.FromNow && !p.watches[from] {
		w.fail("start, now, a watch, or a marker", strconv.Quote(from))
	}
	return func(ctx context.Context, r *run) error {
		marker := from
		if w := r.watches[from]; w != nil {
			marker = w.marker
		}
		return r.watch(ctx, name, watch, marker)
	}
}
