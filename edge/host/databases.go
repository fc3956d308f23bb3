package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"vsync/core"
	"vsync/core/store"
	"vsync/edge"
	"vsync/edge/host/sqlite"
)

// ValidName reports whether a database can have this name: [a-z0-9._-]{1,64}, and neither "." nor "..".
func ValidName(name string) bool {
	return name != "" && len(name) <= 64 && name != "." && name != ".." &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// databases opens the databases of a directory when they are asked for, and closes those that nobody uses.
//
//	(file) ── acquire ──▶ opening ──▶ open, users ≥ 0 ── idle, full, failed ──▶ closing ──▶ (file)
type databases struct {
	dir string // DATA/databases
	key []byte
	cfg *Config

	mu     sync.Mutex
	named  map[string]*database // opening, open or closing
	wrong  map[string]string    // databases that could not be opened, and why; until they can
	last   map[string]facts     // of databases that are closed now; at most maxListed
	closed bool
}

// A database is one hub with its store.
type database struct {
	name    string
	ready   chan struct{} // closed when it is open, or err says why it is not
	err     error
	gone    chan struct{} // closed when its file is free again
	replica *core.Replica
	hub     *edge.Hub
	seen    seen

	// Under databases.mu.
	users   int
	since   time.Time // it has had no users
	closing bool
}

func openDatabases(cfg *Config) (*databases, error) {
	dir := filepath.Join(cfg.Data, "databases")
	if entries, _ := os.ReadDir(dir); len(entries) > 0 && !hasKey(cfg.Data) {
		cfg.Log("hub.key is gone, and a new one is made: what was accepted before can no longer be proven to be this hub's; " +
			"better bring the old one back from a backup")
	}
	key, err := readKey(cfg.Data, cfg.Log)
	if err != nil {
		return nil, err
	}
	if err := MakeDirectory(dir); err != nil {
		return nil, err
	}
	return &databases{
		dir: dir, key: key, cfg: cfg,
		named: map[string]*database{}, wrong: map[string]string{}, last: map[string]facts{},
	}, nil
}

// exists reports whether a database has a file.
func (ds *databases) exists(name string) bool {
	_, err := os.Stat(filepath.Join(ds.dir, name+".db"))
	return err == nil
}

// acquire returns an open database, whose user the caller then is, until release.
func (ds *databases) acquire(name string) (*database, error) {
	for {
		d, found, err := ds.reserve(name)
		switch {
		case err != nil:
			return nil, err
		case found == leaving:
			<-d.gone
			continue
		case found == missing:
			ds.open(d)
		}
		<-d.ready
		return d, d.err
	}
}

// found says in which state reserve found a database.
type found uint8

const (
	missing found = iota // the caller, its first user, is to open it
	entered              // the caller is one more user, once it is ready
	leaving              // it is being closed, and the caller is no user
)

// reserve finds or makes the entry of a name, and counts the caller as its user.
func (ds *databases) reserve(name string) (*database, found, error) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.closed {
		return nil, missing, fail(core.Closed, "the hub is closing; come back later")
	}
	if d := ds.named[name]; d != nil {
		if d.closing {
			return d, leaving, nil
		}
		d.users++
		return d, entered, nil
	}
	if len(ds.named) >= ds.cfg.Open && !ds.evict() {
		return nil, missing, fail(rateLimited, "the hub has %d databases open, which is all it takes; come back later", len(ds.named))
	}
	d := &database{name: name, ready: make(chan struct{}), gone: make(chan struct{}), users: 1}
	ds.named[name] = d
	return d, missing, nil
}

// open opens a database that reserve has entered.
func (ds *databases) open(d *database) {
	defer close(d.ready)
	replica, err := ds.openMending(d.name)
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if err != nil {
		d.err = err
		delete(ds.named, d.name)
		close(d.gone)
		ds.note(d.name, err)
		return
	}
	delete(ds.wrong, d.name)
	d.replica = replica
	d.hub = edge.NewHub(replica, edge.Config{Database: d.name, Connections: ds.cfg.Connections, Auth: ds.cfg.auth(d.name)})
}

// openMending opens a database, with repair where it is damaged: what is set aside is told.
func (ds *databases) openMending(name string) (*core.Replica, error) {
	path := filepath.Join(ds.dir, name+".db")
	told := func(f core.Finding) { ds.cfg.Log("database " + name + " is damaged: " + f.String()) }
	replica, err := openHub(path, name, ds.key, false, told)
	if errors.Is(err, &core.Error{Code: core.Corrupt}) {
		found := err
		if replica, err = openHub(path, name, ds.key, true, told); err == nil {
			ds.cfg.Log("database " + name + " was damaged, and is mended: " + found.Error())
		}
	}
	return replica, err
}

// openHub opens the store of a database as a hub: what it accepts, it has.
func openHub(path, name string, key []byte, repair bool, damaged func(core.Finding)) (*core.Replica, error) {
	ctx := context.Background() // opening is not left half done because one client went
	st, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, Explain(err, "the database "+name+" cannot be opened")
	}
	return core.Open(ctx, st, core.Config{
		Role: core.RoleHub, Database: name, Now: Now, Rand: Random, Durability: store.Strict, HubKey: key,
		Repair: repair, OnDamage: damaged,
	})
}

// note remembers what is wrong with a database, for health, and tells it. Under mu.
func (ds *databases) note(name string, err error) {
	if len(ds.wrong) < maxListed && ds.wrong[name] != err.Error() {
		ds.wrong[name] = err.Error()
		ds.cfg.Log("database " + name + ": " + err.Error())
	}
}

func (ds *databases) release(d *database) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d.users--
	d.since = time.Now()
}

// evict begins to close the database that has been idle longest. It reports false if all are in use. Under mu.
func (ds *databases) evict() bool {
	var oldest *database
	for _, d := range ds.named {
		if d.users == 0 && !d.closing && (oldest == nil || d.since.Before(oldest.since)) {
			oldest = d
		}
	}
	if oldest == nil {
		return false
	}
	oldest.closing = true
	go ds.shut(oldest)
	return true
}

// tick looks after all connections, and begins to close what is idle, or what has lost its store and so can
// only be opened anew.
func (ds *databases) tick(now time.Time) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, d := range ds.named {
		if d.hub == nil || d.closing {
			continue
		}
		d.hub.Tick(uint64(max(now.UnixMilli(), 0)))
		failed := d.replica.State().Failed
		if failed != nil {
			ds.note(d.name, failed)
			d.hub.Close() // its users leave
		}
		if d.users == 0 && (failed != nil || now.Sub(d.since) >= ds.cfg.Idle) {
			d.closing = true
			go ds.shut(d)
		}
	}
}

// shut closes a database that is marked so, and has no users.
func (ds *databases) shut(d *database) error {
	last := d.facts()
	d.hub.Close()
	err := d.replica.Close()
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if err != nil {
		ds.note(d.name, err)
	}
	if _, known := ds.last[d.name]; known || len(ds.last) < maxListed {
		last.Connections = 0
		ds.last[d.name] = last
	}
	delete(ds.named, d.name)
	close(d.gone)
	return err
}

// bye ends all connections, and takes no more.
func (ds *databases) bye() {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.closed = true
	for _, d := range ds.named {
		if d.hub != nil && !d.closing {
			d.hub.Close()
		}
	}
}

// close closes all databases. The caller knows that nobody uses one.
func (ds *databases) close() error {
	ds.mu.Lock()
	ds.closed = true
	var mine, others []*database
	for _, d := range ds.named {
		if d.closing {
			others = append(others, d)
			continue
		}
		d.closing = true
		mine = append(mine, d)
	}
	ds.mu.Unlock()
	var errs []error
	for _, d := range mine {
		errs = append(errs, ds.shut(d))
	}
	for _, d := range others {
		<-d.gone
	}
	return errors.Join(errs...)
}

// names lists the databases that have a file, at most maxListed.
func (ds *databases) names() ([]string, error) {
	entries, err := os.ReadDir(ds.dir)
	if err != nil {
		return nil, fail(core.StorageLost, "the directory of the databases cannot be read: %v", err)
	}
	var names []string
	for _, e := range entries {
		if name, is := strings.CutSuffix(e.Name(), ".db"); is && ValidName(name) && len(names) < maxListed {
			names = append(names, name)
		}
	}
	return names, nil
}
