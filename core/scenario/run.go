package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
)

// A World is where a script is told: disks of devices, and a hub with a line to it.
type World interface {
	Database() string

	// Disk opens what lies on a device's disk; nothing lies there at first.
	Disk(ctx context.Context, device string) (store.Store, error)

	// Dial opens a connection to the hub.
	Dial(ctx context.Context, url string) (wire.Conn, error)

	// Hub returns a replica that shows what the hub has: the hub's own, or that of a device which has just come and
	// taken everything. The runner releases it.
	Hub(ctx context.Context) (r *core.Replica, release func() error, err error)

	HubClose(ctx context.Context) error   // ends: nobody can connect until HubOpen
	HubOpen(ctx context.Context) error    // starts, when it has ended
	HubCrash(ctx context.Context) error   // and starts again
	HubBackup(ctx context.Context) error  // keeps a copy of what it has stored, in place of the one before
	HubRestore(ctx context.Context) error // dies, and starts with the copy
	HubEmpty(ctx context.Context) error   // dies, and starts with nothing stored, and the key that it had
	HubWipe(ctx context.Context) error    // dies, and starts with nothing at all: as another hub
	HubCheckpoint(ctx context.Context) error
}

// A PowerCutter is a world in which a device's disk may lose its latest relaxed commits, n of them. Nobody has it open.
type PowerCutter interface {
	PowerCut(device string, n int) error
}

// ErrCannot is what a world fails with that cannot do what a step says; the script then has to say which ones can.
var ErrCannot = errors.New("scenario: this world cannot do that; let the script begin with only and the worlds that can")

// A Failure says which step of a script came out otherwise.
type Failure struct {
	File     string
	Line     int
	Step     string
	Expected string // empty: that it can be done
	Got      string
	Standing string // of all actors, then
	Err      error
}

func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s", f.File, f.Line, f.Step)
	if f.Err != nil {
		fmt.Fprintf(&b, "\n  failed:   %v", f.Err)
	} else {
		fmt.Fprintf(&b, "\n  expected: %s\n  got:      %s", f.Expected, f.Got)
	}
	fmt.Fprintf(&b, "\nwhere all stand:\n%s", f.Standing)
	return b.String()
}

func (f *Failure) Unwrap() error { return f.Err }

// otherwise is what an expectation fails with.
type otherwise struct{ expected, got string }

func (o otherwise) Error() string { return "expected " + o.expected + ", got " + o.got }

// run is a script while it is told.
type run struct {
	world   World
	devices map[string]*device
	watches map[string]*watch
	now     atomic.Uint64
	names   map[change.DeviceID]string
	ids     map[string]change.DeviceID
	before  *string // what the actor before showed, where they are to show the same
}

// Run tells a script in a world, in which nothing has happened yet. It waits as long as ctx lasts. The error is a *Failure.
func Run(ctx context.Context, s *Script, w World) error {
	r := &run{world: w, devices: map[string]*device{}, watches: map[string]*watch{},
		names: map[change.DeviceID]string{}, ids: map[string]change.DeviceID{}}
	r.now.Store(1_700_000_000_000)
	defer r.end()
	for _, st := range s.steps {
		if err := r.try(ctx, s.File, st); err != nil {
			return err
		}
	}
	return r.try(ctx, s.File, step{len(s.steps), "the end: all are opened again, and checked", (func(ctx context.Context, r *run) error { return r.checkAll(ctx) })})
}

func (r *run) try(ctx context.Context, file string, st step) error {
	err := st.do(ctx, r)
	r.meet()
	if err == nil {
		return nil
	}
	f := &Failure{File: file, Line: st.line, Step: st.text, Standing: r.standing()}
	var o otherwise
	if errors.As(err, &o) {
		f.Expected, f.Got = o.expected, o.got
	} else {
		f.Err = err
	}
	return f
}

// end leaves nothing behind, after a failure too.
func (r *run) end() {
	for _, w := range r.watches {
		w.stop()
	}
	for _, d := range r.devices {
		d.kill()
	}
}

// checkAll checks all that is stored, after a start.
func (r *run) checkAll(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(r.devices)) {
		d := r.devices[name]
		if d.Replica == nil {
			continue
		}
		if err := d.again(ctx); err != nil {
			return err
		}
		if err := check(ctx, name, d.Replica); err != nil {
			return err
		}
	}
	hub, release, err := r.world.Hub(ctx)
	if err != nil {
		return err
	}
	return errors.Join(check(ctx, "hub", hub), release())
}

// hubLoses lets the hub lose data. Where devices stood in its feed says nothing any more, until each has met it again.
func (r *run) hubLoses(lose func() error) error {
	for _, d := range r.devices {
		d.astray = true
	}
	return lose()
}

func check(ctx context.Context, name string, r *core.Replica) error {
	rep, err := r.Check(ctx)
	if err == nil && !rep.OK {
		err = fmt.Errorf("the check of %s finds: %v", name, rep.Findings)
	}
	return err
}

// meet gives every new id that a device has a name.
func (r *run) meet() {
	for _, name := range slices.Sorted(maps.Keys(r.devices)) {
		d := r.devices[name]
		if d.Replica == nil {
			continue
		}
		id := d.State().Device
		if _, known := r.names[id]; id.IsZero() || known {
			continue
		}
		for r.ids[name] != (change.DeviceID{}) || d.copied {
			name += "'"
			if r.ids[name] == (change.DeviceID{}) {
				break
			}
		}
		r.names[id], r.ids[name] = name, id
	}
}

// actual gives versions their meaning.
func (r *run) actual(vs []version) (list []change.Version, err error) {
	r.meet()
	for _, v := range vs {
		id, known := r.ids[v.device]
		if !known {
			return nil, fmt.Errorf("nobody had the id that %s names so far", v)
		}
		list = append(list, change.Version{Device: id, Gen: v.gen})
	}
	return list, nil
}

func (r *run) actualOne(v version) (change.Version, error) {
	list, err := r.actual([]version{v})
	if err != nil {
		return change.Version{}, err
	}
	return list[0], nil
}

// called is a version as scripts name it.
func (r *run) called(v change.Version) string {
	r.meet()
	name, known := r.names[v.Device]
	if !known {
		name = v.Device.String()
	}
	return fmt.Sprintf("%s:%d", name, v.Gen)
}

func (r *run) calledAll(vs []change.Version) string {
	var list []string
	for _, v := range vs {
		list = append(list, r.called(v))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// sync lets devices exchange what they have, as package scenario's comment says.
func (r *run) sync(ctx context.Context, names []string) error {
	head := r.known()
	for range 2 {
		for _, name := range names {
			d := r.devices[name]
			stays := d.feed != nil
			if err := d.connect(ctx); err != nil {
				return err
			}
			err := d.quiet(ctx, head)
			head = max(head, d.State().Marker.Seq)
			d.astray = d.astray && err != nil
			if !stays {
				err = errors.Join(err, d.offline(ctx))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// known is the farthest place of the feed that anybody knows.
func (r *run) known() (head uint64) {
	for _, d := range r.devices {
		if d.Replica != nil && !d.astray {
			head = max(head, d.State().Marker.Seq)
		}
	}
	return head
}

func (r *run) spoil(v version) error {
	actual, err := r.actualOne(v)
	if err != nil {
		return err
	}
	for _, d := range r.devices {
		d.line.spoil(actual)
	}
	return nil
}

// refusedWith is about a step that has to fail.
func refusedWith(code string, err error) error {
	got := "it could be done"
	var e *core.Error
	switch {
	case errors.Is(err, core.ErrChanged):
		got = "CHANGED"
	case errors.As(err, &e):
		got = string(e.Code)
	case err != nil:
		return err
	}
	if got != code {
		return otherwise{code, got}
	}
	return nil
}
