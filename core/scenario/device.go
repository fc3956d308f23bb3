package scenario

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/edge/clock"
)

// hasty are delays for a test that lasts seconds; no script depends on how long they are.
var hasty = watcher.Delays{Dial: 10 * time.Millisecond, Stream: 10 * time.Millisecond, Max: 100 * time.Millisecond, Stable: time.Second}

// device is a device's process, with what of it outlives it.
type device struct {
	*core.Replica // nil while there is no process
	r             *run
	name          string
	disk          *store.Faulty
	line          *line
	skew          atomic.Int64
	copied        bool // it began with the id of another
	astray        bool // the hub has lost data since this device was in sync with it

	feed  *watcher.Watcher // nil while it is offline
	ended chan struct{}    // closed when feed has ended
	lives int

	mu   sync.Mutex
	news chan struct{} // closed at the next change of the feed's status
}

func (r *run) newDevice(ctx context.Context, name string) error {
	d := &device{r: r, name: name, line: newLine(r.world.Dial)}
	r.devices[name] = d
	return d.open(ctx)
}

func (d *device) clock() uint64 { return uint64(int64(d.r.now.Add(1)) + d.skew.Load()) }

func (d *device) open(ctx context.Context) error {
	if d.Replica != nil {
		return fmt.Errorf("%s is open already", d.name)
	}
	disk, err := d.r.world.Disk(ctx, d.name)
	if err != nil {
		return err
	}
	d.lives++
	d.disk = store.NewFaulty(disk)
	replica, err := core.Open(ctx, d.disk, core.Config{Database: d.r.world.Database(), Now: d.clock, Feed: true,
		Rand: rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, d.name, d.lives))), CheckpointBytes: 64 << 10})
	if err == nil {
		d.Replica = replica
	}
	return err
}

func (d *device) close(ctx context.Context) error {
	if d.Replica == nil {
		return fmt.Errorf("%s is closed", d.name)
	}
	replica := d.Replica
	err := errors.Join(d.offline(ctx), replica.Close())
	d.Replica = nil
	return err
}

// kill ends the process, if there is one, in the middle of what it does.
func (d *device) kill() {
	if d.Replica == nil {
		return
	}
	d.Replica.Kill()
	d.offline(context.Background())
	d.disk.Kill() // whatever is still under way does not reach the disk
	d.disk.Close()
	d.Replica = nil
}

// crash ends the process and starts the next one; a device that was online comes back online.
func (d *device) crash(ctx context.Context) error {
	online := d.feed != nil
	d.kill()
	if err := d.open(ctx); err != nil || !online {
		return err
	}
	return d.connect(ctx)
}

// again closes and opens a device.
func (d *device) again(ctx context.Context) error {
	if err := d.close(ctx); err != nil {
		return err
	}
	return d.open(ctx)
}

func (d *device) powerCut(ctx context.Context, n int) error {
	cutter, can := d.r.world.(PowerCutter)
	if !can {
		return ErrCannot
	}
	d.kill()
	if err := cutter.PowerCut(d.name, n); err != nil {
		return err
	}
	return d.open(ctx)
}

// connect brings the device online, if it is not.
func (d *device) connect(context.Context) error {
	if d.feed != nil {
		return nil
	}
	if d.Replica == nil {
		return fmt.Errorf("%s is closed", d.name)
	}
	feed, err := watcher.NewWatcher(d.Replica, watcher.Feed{URL: "scenario", Database: d.r.world.Database(), Agent: d.name,
		Dial: d.line.Dial, Clock: clock.System{}, Rand: rand.NewPCG(uint64(d.name[0]), uint64(d.lives)), Delays: hasty})
	if err != nil {
		return err
	}
	d.feed, d.ended, d.news = feed, make(chan struct{}), make(chan struct{})
	feed.Subscribe(func(watcher.Status) {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(d.news)
		d.news = make(chan struct{})
	})
	go func(ended chan struct{}) {
		defer close(ended)
		feed.Run(context.Background())
	}(d.ended)
	return nil
}

func (d *device) offline(context.Context) error {
	if d.feed == nil {
		return nil
	}
	d.feed.Close()
	<-d.ended
	d.feed = nil
	return nil
}

func (d *device) cutOff(context.Context) error {
	d.line.cut()
	return nil
}

func (d *device) heal(context.Context) error {
	d.line.heal()
	return nil
}

// reach waits until the status of the feed is as wanted.
func (d *device) reach(ctx context.Context, what string, ok func(watcher.Status) bool) error {
	if d.feed == nil {
		return fmt.Errorf("%s is offline", d.name)
	}
	for {
		d.mu.Lock()
		news := d.news
		d.mu.Unlock()
		s := d.feed.Status()
		if ok(s) {
			return nil
		}
		select {
		case <-news:
		case <-d.ended:
			return fmt.Errorf("%s waited for %s, and sync ended: %s", d.name, what, showStatus(s))
		case <-ctx.Done():
			return otherwise{d.name + ": " + what, showStatus(d.feed.Status())}
		}
	}
}

// quiet waits until all is sent and taken, at least up to a place of the feed.
func (d *device) quiet(ctx context.Context, seq uint64) error {
	return d.reach(ctx, fmt.Sprintf("all sent and taken, up to %d at least", seq), func(s watcher.Status) bool {
		return s.Phase == watcher.PhaseLive && s.Pending == 0 && s.Marker.Seq >= seq
	})
}

// copyDisk puts a copy of one disk into another one's place. Nobody has them open.
func (r *run) copyDisk(ctx context.Context, from, to string) (err error) {
	target, err := r.world.Disk(ctx, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	tx := &store.Tx{}
	tx.DeleteRange(nil, nil)
	if err := target.Commit(ctx, tx); err != nil || from == "" {
		return err
	}
	source, err := r.world.Disk(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return store.Each(ctx, source, store.Range{}, func(row store.Row) error {
		tx := &store.Tx{}
		tx.Put(row.Key, row.Value)
		return target.Commit(ctx, tx)
	})
}

// away does something while the device's process is gone.
func (d *device) away(ctx context.Context, do func() error) error {
	online := d.feed != nil
	d.kill()
	if err := errors.Join(do(), d.open(ctx)); err != nil || !online {
		return err
	}
	return d.connect(ctx)
}

func (r *run) clone(ctx context.Context, from, to string) error {
	d := r.devices[from]
	if err := d.away(ctx, func() error { return r.copyDisk(ctx, from, to) }); err != nil {
		return err
	}
	c := &device{r: r, name: to, line: newLine(r.world.Dial), copied: true, astray: d.astray}
	r.devices[to] = c
	return c.open(ctx)
}

func backupOf(name string) string { return name + "-backup" }

func (d *device) backUp(ctx context.Context) error {
	return d.away(ctx, func() error { return d.r.copyDisk(ctx, d.name, backupOf(d.name)) })
}

func (d *device) restore(ctx context.Context) error {
	return d.away(ctx, func() error { return d.r.copyDisk(ctx, backupOf(d.name), d.name) })
}

func (d *device) lose(ctx context.Context) error {
	return d.away(ctx, func() error { return d.r.copyDisk(ctx, "", d.name) })
}

func (d *device) fill(ctx context.Context, collection string, n int, value []byte) error {
	var batch core.Write
	for i := range n {
		batch.Ops = append(batch.Ops, core.Op{Key: change.Key{Collection: collection, ID: fmt.Sprintf("%04d", i)}, Value: value})
	}
	_, err := d.Write(ctx, batch)
	return err
}

// rules writes rules that are newer.
func (d *device) rules(ctx context.Context, collection string, version int, conflict []byte) error {
	how, err := change.DecodeValue(conflict)
	if err != nil {
		return err
	}
	rules, err := change.Encode(change.Map{{Key: "version", Value: version}, {Key: "conflict", Value: how}})
	if err != nil {
		return err
	}
	_, _, err = d.SetRules(ctx, collection, rules)
	return err
}

// pick writes what a version says over all leaves.
func (d *device) pick(ctx context.Context, key change.Key, v version) error {
	side, err := d.r.actualOne(v)
	if err != nil {
		return err
	}
	e, _, err := d.Get(ctx, key)
	if err != nil {
		return err
	}
	for h, err := range d.History(ctx, key) {
		if err != nil {
			return err
		}
		if h.Version == side {
			_, err := d.Write(ctx, core.Write{Ops: []core.Op{{Key: key, Delete: h.Deleted, Value: h.Value, Seen: e.Frontier}}})
			return err
		}
	}
	return fmt.Errorf("%s is not in the history of %s", v, key)
}

func (d *device) settle(ctx context.Context, how string, v version) error {
	actual, err := d.r.actualOne(v)
	if err != nil {
		return err
	}
	if how == "dismiss" {
		return d.Dismiss(ctx, actual)
	}
	_, err = d.Retry(ctx, actual)
	return err
}

// watch is an application that looks at one event when a script asks for it.
type watch struct {
	next   func() (core.Event, error, bool)
	end    func()
	cancel context.CancelFunc
	marker string // of the last event that it looked at
}

func (r *run) watch(ctx context.Context, name, watcher, from string) error {
	d := r.devices[name]
	ctx, cancel := context.WithCancel(ctx)
	next, end := iter.Pull2(d.Watch(ctx, core.WatchOptions{From: from}))
	r.watches[watcher] = &watch{next, end, cancel, from}
	return nil
}

// stop ends the watch; one that is asked for its next event after that says ABORTED.
func (w *watch) stop() error {
	w.cancel()
	return nil
}
