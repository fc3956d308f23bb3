package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
)

// A look compares one actor with what is expected of it.
type look func(ctx context.Context, r *run, a actor) error

// An actor is a device, or the hub as a replica that shows what it has.
type actor struct {
	name string
	*core.Replica
	device *device // nil: the hub
}

func (p *parser) expectation(w *words) action {
	if p.watches[w.peek()] {
		return p.expectEvent(w)
	}
	var names []string
	for p.devices[w.peek()] || w.peek() == "hub" {
		names = append(names, w.next(""))
	}
	if len(names) == 0 {
		w.fail("devices, hub, or a watch", strconv.Quote(w.peek()))
		return nil
	}
	var each look
	if kind, is := looks[w.peek()]; is {
		w.next("")
		if kind.deviceAlone && slices.Contains(names, "hub") {
			w.fail("an expectation of the hub", "one that is of devices alone")
		}
		each = kind.parse(p, w)
	} else {
		each = p.expectObject(w)
	}
	return func(ctx context.Context, r *run) error { return r.each(ctx, names, each) }
}

// each looks at actors, one after the other.
func (r *run) each(ctx context.Context, names []string, look look) error {
	r.before = nil
	for _, name := range names {
		if err := r.at(ctx, name, look); err != nil {
			var o otherwise
			if errors.As(err, &o) {
				return otherwise{name + ": " + o.expected, o.got}
			}
			return err
		}
	}
	return nil
}

func (r *run) at(ctx context.Context, name string, look look) error {
	if name != "hub" {
		d := r.devices[name]
		if d.Replica == nil {
			return fmt.Errorf("%s is closed", name)
		}
		return look(ctx, r, actor{name, d.Replica, d})
	}
	hub, release, err := r.world.Hub(ctx)
	if err != nil {
		return err
	}
	return errors.Join(look(ctx, r, actor{name: name, Replica: hub}), release())
}

func same(expected, got string) error {
	if expected != got {
		return otherwise{expected, got}
	}
	return nil
}

func (p *parser) expectObject(w *words) look {
	key := w.key()
	expected := "none"
	if !w.take("none") {
		expected = showValue(w.value())
	}
	if w.take("conflict") {
		expected += " conflict"
	}
	leaves := w.take("leaves")
	if leaves {
		expected += " leaves " + sorted(p.versions(w))
	}
	return func(ctx context.Context, r *run, a actor) error {
		e, there, err := a.Get(ctx, key)
		if err != nil {
			return err
		}
		return same(expected, r.showEntry(e, there, leaves))
	}
}

func sorted(vs []version) string {
	var list []string
	for _, v := range vs {
		list = append(list, v.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// A kind is an expectation by its word.
type kind struct {
	deviceAlone bool
	parse       func(p *parser, w *words) look
}

var looks = map[string]kind{
	"count":    {false, (*parser).expectCount},
	"rules":    {false, (*parser).expectRules},
	"history":  {false, (*parser).expectHistory},
	"base":     {false, (*parser).expectBase},
	"vector":   {false, (*parser).expectVector},
	"marker":   {false, (*parser).expectMarker},
	"same":     {false, (*parser).expectSame},
	"pending":  {true, (*parser).expectPending},
	"at":       {true, (*parser).expectAt},
	"problem":  {true, (*parser).expectProblem},
	"problems": {true, (*parser).expectNoProblems},
	"synced":   {true, (*parser).expectSynced},
	"phase":    {true, (*parser).expectPhase},
	"broken":   {true, (*parser).expectBroken},
}

func (p *parser) expectCount(w *words) look {
	collection, n := w.next("a collection"), w.number("a number of objects")
	return func(ctx context.Context, _ *run, a actor) error {
		got := 0
		for _, err := range a.Scan(ctx, core.ScanRange{Collection: collection}) {
			if err != nil {
				return err
			}
			got++
		}
		return same(fmt.Sprint(n, " objects"), fmt.Sprint(got, " objects"))
	}
}

func (p *parser) expectRules(w *words) look {
	collection, n := w.next("a collection"), w.number("a version")
	return func(_ context.Context, _ *run, a actor) error {
		return same(fmt.Sprint("rules ", n), fmt.Sprint("rules ", a.Rules(collection).Version))
	}
}

func (p *parser) expectHistory(w *words) look {
	key := w.key()
	var list []string
	for first := true; first || !w.empty(); first = false {
		deleted := ""
		if rest, is := strings.CutPrefix(w.peek(), "-"); is {
			deleted, w.list[0] = "-", rest
		}
		list = append(list, deleted+p.version(w).String())
	}
	return func(ctx context.Context, r *run, a actor) error {
		got, err := r.showHistory(ctx, a.Replica, key)
		if err != nil {
			return err
		}
		return same(strings.Join(list, " "), got)
	}
}

func (p *parser) expectBase(w *words) look {
	key, expected := w.key(), "none"
	if !w.take("none") {
		expected = p.version(w).String()
	}
	return func(ctx context.Context, r *run, a actor) error {
		base, there, err := a.MergeBase(ctx, key)
		if err != nil {
			return err
		}
		got := "none"
		if there {
			got = r.called(base.Version)
		}
		return same(expected, got)
	}
}

func (p *parser) expectVector(w *words) look {
	var list []string
	for first := true; first || !w.empty(); first = false {
		word := w.next("device=generation")
		if w.err == nil && (strings.Contains(word, ":") || !p.isVersion(strings.Replace(word, "=", ":", 1))) {
			w.fail("device=generation", strconv.Quote(word))
		}
		list = append(list, word)
	}
	slices.Sort(list)
	return func(ctx context.Context, r *run, a actor) error {
		got, err := r.showVector(ctx, a.Replica)
		if err != nil {
			return err
		}
		return same(strings.Join(list, " "), got)
	}
}

func (p *parser) expectMarker(w *words) look {
	n := w.number("a place in the feed")
	return func(_ context.Context, _ *run, a actor) error {
		return same(fmt.Sprint("marker ", n), fmt.Sprint("marker ", a.State().Marker.Seq))
	}
}

// expectSame compares each with the one before.
func (p *parser) expectSame(*words) look {
	return func(ctx context.Context, r *run, a actor) error {
		got, err := all(ctx, a.Replica)
		if err != nil {
			return err
		}
		if r.before == nil {
			r.before = &got
			return nil
		}
		return same(*r.before, got)
	}
}

func (p *parser) expectPending(w *words) look {
	n := w.number("a number of batches")
	return func(_ context.Context, _ *run, a actor) error {
		return same(fmt.Sprint("pending ", n), fmt.Sprint("pending ", a.State().Pending))
	}
}

func (p *parser) expectAt(w *words) look {
	v := p.version(w)
	return func(_ context.Context, r *run, a actor) error {
		s := a.State()
		return same(v.String(), r.called(change.Version{Device: s.Device, Gen: s.LastGen}))
	}
}

func (p *parser) expectProblem(w *words) look {
	v, code := p.version(w), w.next("a code, or none")
	return func(ctx context.Context, r *run, a actor) error {
		problems, err := a.Problems(ctx)
		if err != nil {
			return err
		}
		got := "none"
		for _, problem := range problems {
			if r.called(problem.Version) == v.String() {
				got = problem.Code
			}
		}
		return same(code, got)
	}
}

func (p *parser) expectNoProblems(w *words) look {
	w.name("none", map[string]bool{"none": true})
	return func(ctx context.Context, _ *run, a actor) error {
		problems, err := a.Problems(ctx)
		if err != nil {
			return err
		}
		return same("no problems", strings.Replace(fmt.Sprint(len(problems), " problems"), "0 ", "no ", 1))
	}
}

func (p *parser) expectSynced(w *words) look {
	v := p.version(w)
	return func(ctx context.Context, r *run, a actor) error {
		actual, err := r.actualOne(v)
		if err != nil {
			return err
		}
		return a.WaitSynced(ctx, actual)
	}
}

func (p *parser) expectPhase(w *words) look {
	phase, code := w.next("a phase"), ""
	if !w.empty() {
		code = w.next("a code")
	}
	return func(ctx context.Context, _ *run, a actor) error {
		return a.device.reach(ctx, strings.TrimSpace("phase "+phase+" "+code), func(s watcher.Status) bool {
			return string(s.Phase) == phase && (code == "" || string(s.Fault.Code) == code)
		})
	}
}

func (p *parser) expectBroken(*words) look {
	return func(ctx context.Context, _ *run, a actor) error { return a.device.line.untilBroken(ctx) }
}

// expectEvent is about the next event of a watch.
func (p *parser) expectEvent(w *words) action {
	name := w.next("")
	list := []string{w.next("initial, reset, end, or a version")}
	switch what := list[0]; what {
	case "initial", "reset":
	case "end":
		list = append(list, w.next("a code"))
		w.end()
	default:
		if w.err == nil && !p.isVersion(what) {
			w.fail("initial, reset, end, or a version", strconv.Quote(what))
		}
	}
	for !w.empty() {
		deleted := ""
		if rest, is := strings.CutPrefix(w.peek(), "-"); is {
			deleted, w.list[0] = "-", rest
		}
		key := w.key()
		list = append(list, deleted+key.Collection+"/"+key.ID)
	}
	return func(_ context.Context, r *run) error {
		watch := r.watches[name]
		e, err, more := watch.next()
		if e.Marker != "" {
			watch.marker = e.Marker
		}
		return same(strings.Join(list, " "), r.showEvent(e, err, more))
	}
}
