package e2e

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/edge/clock"
	"vsync/edge/e2e/ledger"
	"vsync/edge/host/sqlite"
	"vsync/edge/ws"
)

const database = "e2e"

// hasty are delays for a test that lasts seconds: the protocol's are for networks that come back after minutes.
var hasty = watcher.Delays{Dial: 20 * time.Millisecond, Stream: 20 * time.Millisecond, Max: 400 * time.Millisecond, Stable: time.Second}

// A device is a replica on a disk and what keeps it current with a hub, from open to close.
type device struct {
	*core.Replica
	store *sqlite.Store
	feed  *watcher.Watcher
	group sync.WaitGroup

	mu     sync.Mutex
	change chan struct{} // closed at the next change of the feed's status
}

func now() uint64 { return uint64(time.Now().UnixMilli()) }

// openDevice opens the device in a directory, which is made, for the database of a URL. Its feed waits for follow.
func openDevice(ctx context.Context, dir, url string, seed uint64) (*device, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	st, err := sqlite.Open(ctx, filepath.Join(dir, "device.db"), sqlite.Options{})
	if err != nil {
		return nil, err
	}
	database := path.Base(url)
	replica, err := core.Open(ctx, st, core.Config{Database: database, Now: now, Rand: crand.Reader, Feed: true, CheckpointBytes: 256 << 10})
	if err != nil {
		return nil, err
	}
	feed, err := watcher.NewWatcher(replica, watcher.Feed{
		URL: url, Database: database, Agent: "e2e", Dial: ws.Dialer{}.Dial, Clock: clock.System{},
		Rand: rand.NewPCG(seed, 1), Delays: hasty,
	})
	if err != nil {
		replica.Close()
		return nil, err
	}
	d := &device{Replica: replica, store: st, feed: feed, change: make(chan struct{})}
	feed.Subscribe(func(watcher.Status) {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(d.change)
		d.change = make(chan struct{})
	})
	return d, nil
}

// follow starts the feed.
func (d *device) follow() { d.group.Go(func() { d.feed.Run(context.Background()) }) }

// close ends the device in good order.
func (d *device) close() error {
	d.feed.Close()
	err := d.Close()
	d.group.Wait()
	return err
}

// abandon ends the device in the middle of what it does, as far as a process can do that to a part of itself.
func (d *device) abandon() error {
	d.Kill()
	d.feed.Close()
	d.group.Wait()
	return d.store.Close()
}

// reach waits until the feed's status is as wanted.
func (d *device) reach(ctx context.Context, what string, ok func(watcher.Status) bool) error {
	for {
		d.mu.Lock()
		change := d.change
		d.mu.Unlock()
		status := d.feed.Status()
		if ok(status) {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %+v", what, ctx.Err(), status)
		}
	}
}

// A life is what a device does from one start to its end.
type life struct {
	Name   string // of the device
	Number int
	Dir    string
	URL    string
	Seed   uint64
}

// unsynced is how many writes a device lets wait before it writes more.
const unsynced = 40

// live opens a device, and writes, watches and scans until ctx ends; then it ends the device with end. What it
// saw goes into seen; waiting holds what earlier lives wrote and have not seen synced, and then what this one leaves.
func (l life) live(ctx context.Context, seen *mirror, waiting chan written, tell ledger.Report, end func(*device) error) error {
	d, err := openDevice(context.Background(), l.Dir, l.URL, l.Seed)
	if err != nil {
		return err
	}
	if err := seen.begin(context.WithoutCancel(ctx), d.Replica); err != nil {
		return errors.Join(err, d.close())
	}
	d.feed.Subscribe(func(s watcher.Status) {
		if s.Phase == watcher.PhaseRefused || s.Phase == watcher.PhaseQuarantined {
			tell(ledger.Wrong, fmt.Sprintf("%s, life %d: nobody did anything wrong, and sync is %s: %+v", l.Name, l.Number, s.Phase, s.Fault))
		}
	})
	d.follow()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	try := func(what string, f func() error) {
		group.Go(func() {
			err := f()
			if err != nil && ctx.Err() == nil && !errors.Is(err, &core.Error{Code: core.Closed}) {
				tell(ledger.Wrong, fmt.Sprintf("%s, life %d, %s: %v", l.Name, l.Number, what, err))
				stop(err)
			}
		})
	}
	try("writing", func() error { return l.write(ctx, d.Replica, waiting, tell) })
	try("waiting for sync", func() error { return awaitSynced(ctx, d.Replica, waiting, tell) })
	try("watching", func() error { return seen.follow(ctx, d.Replica) })
	try("scanning", func() error { return scanNowAndThen(ctx, d.Replica) })
	<-ctx.Done()
	err = end(d)
	group.Wait()
	return err
}

// A written batch waits for the feed to pass it.
type written struct {
	token   string
	version change.Version
}

func awaitSynced(ctx context.Context, r *core.Replica, waiting chan written, tell ledger.Report) error {
	for {
		select {
		case w := <-waiting:
			if err := r.WaitSynced(ctx, w.version); err != nil {
				keep(waiting, w)
				return fmt.Errorf("%s: %w", w.token, err)
			}
			tell(ledger.Synced, w.token)
		case <-ctx.Done():
			return nil
		}
	}
}

// keep leaves a write to the next life, if there is room: the test looks for it in any case.
func keep(waiting chan written, w written) {
	select {
	case waiting <- w:
	default:
	}
}

// scanNowAndThen looks for batches in part, for as long as ctx lasts.
func scanNowAndThen(ctx context.Context, r *core.Replica) error {
	ticker := time.NewTicker(150 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if err := scanCrowds(ctx, r); err != nil && !errors.Is(err, &core.Error{Code: core.Aborted}) {
			return err
		}
	}
}

// dump is all that a replica holds, as text.
func dump(ctx context.Context, r *core.Replica) (lines []string, err error) {
	for e, err := range r.Scan(ctx, core.ScanRange{}) {
		if err != nil {
			return nil, err
		}
		value, err := change.ToJSON(e.Value)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s %s %d conflict=%v %s", e.Key, e.Version, e.Time, e.Conflict, value))
	}
	return lines, nil
}
