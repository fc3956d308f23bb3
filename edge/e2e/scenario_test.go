package e2e

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vsync/core"
	"vsync/core/scenario"
	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/core/wire"
	"vsync/edge/clock"
	"vsync/edge/e2e/program"
	"vsync/edge/host/sqlite"
	"vsync/edge/ws"
)

// TestScenarios tells the scripts of core/scenario with the program as the hub, real sockets, and disks that are disks.
func TestScenarios(t *testing.T) {
	list, err := scenario.All()
	if err != nil {
		t.Fatal(err)
	}
	hub := program.Serve(t, t.TempDir())
	told := 0
	for _, s := range list {
		if !s.In("socket") {
			t.Logf("passed over: %s", s.Name)
			continue
		}
		told++
		t.Run(s.Name, func(t *testing.T) {
			place := &socketWorld{hub: hub, name: strings.ReplaceAll(s.Name, "_", "-"), dir: t.TempDir()}
			if err := scenario.Run(program.Soon(t), s, place); err != nil {
				t.Error(err)
			}
			if place.down { // and the script did not come to its end
				place.hub.Start()
			}
		})
	}
	if told < len(list)*3/4 {
		t.Errorf("%d of %d scripts were told", told, len(list))
	}
	hub.Stop(t)
}

// A socketWorld is one database of the hub's program.
type socketWorld struct {
	hub    *program.Hub
	name   string
	dir    string
	backup string // directory of the hub's copy; empty: none

	backupOf string // directory that it was made of

	down bool
}

func (w *socketWorld) Database() string { return w.name }

func (w *socketWorld) Disk(ctx context.Context, device string) (store.Store, error) {
	st, err := sqlite.Open(ctx, filepath.Join(w.dir, device+".db"), sqlite.Options{})
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (w *socketWorld) Dial(ctx context.Context, _ string) (wire.Conn, error) {
	return ws.Dialer{}.Dial(ctx, program.DatabaseURL(w.hub.Addr(), w.name))
}

// Hub returns a device that has just come and has taken all that the hub has.
func (w *socketWorld) Hub(ctx context.Context) (*core.Replica, func() error, error) {
	replica, err := core.Open(ctx, store.NewMemory(), core.Config{Database: w.name, Now: now, Rand: crand.Reader, Feed: true})
	if err != nil {
		return nil, nil, err
	}
	feed, err := watcher.NewWatcher(replica, watcher.Feed{URL: "hub", Database: w.name, Agent: "newcomer", Dial: w.Dial,
		Clock: clock.System{}, Rand: rand.NewPCG(1, 1), Delays: hasty})
	if err != nil {
		return nil, nil, errors.Join(err, replica.Close())
	}
	live := make(chan struct{}, 1)
	feed.Subscribe(func(s watcher.Status) {
		if s.Phase == watcher.PhaseLive {
			select {
			case live <- struct{}{}:
			default:
			}
		}
	})
	go feed.Run(context.Background())
	select {
	case <-live:
	case <-ctx.Done():
		err = ctx.Err()
	}
	feed.Close()
	if err != nil {
		return nil, nil, errors.Join(err, replica.Close())
	}
	return replica, replica.Close, nil
}

// HubClose ends the program, which is the hub of other scripts too.
func (w *socketWorld) HubClose(context.Context) error {
	w.hub.Die()
	w.down = true
	return nil
}

func (w *socketWorld) HubOpen(context.Context) error {
	w.hub.Start()
	w.down = false
	return nil
}

func (w *socketWorld) HubCrash(context.Context) error {
	w.hub.Restart()
	return nil
}

// HubBackup copies the files of the database while the program does not run.
func (w *socketWorld) HubBackup(context.Context) error {
	return w.away(func() error {
		files, err := w.files()
		if err == nil {
			w.backup, w.backupOf = filepath.Join(w.dir, "backup"), filepath.Dir(files[0])
			err = errors.Join(os.RemoveAll(w.backup), copyInto(w.backup, files))
		}
		return err
	})
}

func (w *socketWorld) HubRestore(context.Context) error {
	return w.away(func() error {
		if w.backup == "" {
			return errors.New("there is no copy of the hub's disk")
		}
		files, err := filepath.Glob(filepath.Join(w.backup, "*"))
		return errors.Join(err, w.remove(), copyInto(w.backupOf, files))
	})
}

// HubEmpty takes the database alone; the others are those of other scripts.
func (w *socketWorld) HubEmpty(context.Context) error { return w.away(w.remove) }

// HubWipe takes the databases of scripts that are over too: the key, without which none of them can be opened, goes.
func (w *socketWorld) HubWipe(context.Context) error {
	return w.away(func() error {
		w.hub.Wipe()
		return nil
	})
}

// away does something while the program does not run.
func (w *socketWorld) away(do func() error) error {
	w.hub.Die()
	err := do()
	w.hub.Start()
	return err
}

// files are those of the database.
func (w *socketWorld) files() ([]string, error) {
	file, err := w.hub.FindFile(w.name)
	if err != nil {
		return nil, err
	}
	return filepath.Glob(file + "*")
}

func (w *socketWorld) remove() error {
	files, err := w.files()
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// copyInto fills a directory, which is made anew if it is not there, with copies of files.
func copyInto(dir string, files []string) error {
	err := os.MkdirAll(dir, 0o755)
	for _, file := range files {
		data, e := os.ReadFile(file)
		if e == nil {
			e = os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644)
		}
		err = errors.Join(err, e)
	}
	return err
}

// HubCheckpoint is nothing that the program can be told.
func (w *socketWorld) HubCheckpoint(context.Context) error { return scenario.ErrCannot }
