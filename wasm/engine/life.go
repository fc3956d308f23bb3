package engine

import (
	"context"
	"errors"
	"strings"
	"sync"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/store"
	"vsync/core/watcher"
)

// options are what a page opens a database with.
type options struct {
	name       string
	place      string // what it is called in this browser's storage
	feed       string // base URL; empty: local only
	durability string // "relaxed" or "strict"
	token      bool   // the page can be asked for a token
	agent      string
	paused     bool           // the exchange with the hub was, in the engine before
	had        change.Version // what the engine before has stored for this page last; of generation 0: nothing. Zero: there was none
	rules      ruled          // of collections; of an open database what all pages have said
}

func (o *options) validate() error {
	if o.name == "" || len(o.name) > 64 {
		return fail(core.Invalid, "the name of a database has 1 to 64 bytes, this one has %d", len(o.name))
	}
	if o.place == "" {
		o.place = o.name
	}
	if o.durability == "" {
		o.durability = "relaxed"
	}
	if o.durability != "relaxed" && o.durability != "strict" {
		return fail(core.Invalid, "durability is \"relaxed\" or \"strict\", not %q", o.durability)
	}
	return nil
}

// differs says what of the options of a second page does not fit the first one's.
func (o *options) differs(other *options) error {
	say := func(what, open, asked string) error {
		return fail(core.Invalid, "the database %q is already open on this device with %s %q, and is asked for with %q: give all tabs the same options, or close it there first",
			o.name, what, open, asked)
	}
	switch {
	case o.name != other.name || o.place != other.place:
		return fail(core.Internal, "this worker holds the database %q, at %q, and was asked for %q, at %q", o.name, o.place, other.name, other.place)
	case o.feed != other.feed:
		return say("the feed", or(o.feed, "none"), or(other.feed, "none"))
	case o.durability != other.durability:
		return say("the durability", o.durability, other.durability)
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// database is an open database and those who use it.
type database struct {
	e       *Engine
	opt     options
	mode    string
	pulse   *pulse
	replica *core.Replica
	watcher *watcher.Watcher // nil: local only
	ctx     context.Context  // ends when it is closed
	cancel  context.CancelFunc
	board   board
	running sync.WaitGroup // goroutines of the database itself

	mu      sync.Mutex
	ports   map[*Port]bool
	raise   chan struct{} // has a value when rules may be written; nil: local only
	end     *core.Error   // why requests fail now; nil: they do not
	unruled []string      // collections whose rules are to be written
	ruling  chan struct{} // closed when they are; nil: there are none
	leave   func()        // stops the closing that waits for a page to come back

	checked   bool  // a checkpoint was written, or found needless, since the opening
	checkedAt int64 // size of the log then
	later     bool  // one that would have hurt readers is tried again
}

// enter takes the gate.
func (e *Engine) enter(ctx context.Context) error {
	select {
	case e.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join opens the database for a port, or finds it open.
func (e *Engine) join(p *Port, o options) (*database, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := e.enter(p.ctx); err != nil {
		return nil, err
	}
	defer func() { <-e.gate }()
	db := e.current()
	if db != nil {
		wrong := db.differs(&o)
		if wrong != nil && db.used() {
			return nil, wrong
		}
		if wrong != nil { // nobody has come back to it
			db.close(closed)
			db = nil
		}
	}
	if db == nil {
		var err error
		if db, err = e.open(p.ctx, o); err != nil {
			return nil, err
		}
	}
	if o.had != (change.Version{}) && !db.replica.Wrote(o.had) {
		if !db.used() {
			db.close(closed)
		}
		return nil, fail(core.StorageLost, "the storage of %q is another one than before: what was confirmed is gone, but for what the hub has; close the database and open it again", o.name)
	}
	db.adopt(o.rules)
	db.add(p)
	return db, nil
}

// differs says what of a page's options does not fit those that the database is open with.
func (db *database) differs(o *options) error {
	if err := db.opt.differs(o); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.opt.rules.differs(o.rules)
}

// used says that a page has the database open.
func (db *database) used() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.ports) > 0
}

var closed = fail(core.Closed, "the database was closed: open it again")

func (e *Engine) open(ctx context.Context, o options) (*database, error) {
	db := &database{e: e, opt: o, ports: map[*Port]bool{}}
	db.opt.rules = ruled{}
	db.ctx, db.cancel = context.WithCancel(context.Background())
	lost := make(chan error, 1)
	lose := func(why error) {
		select {
		case lost <- why:
		default: // it was told before, of the store that could not be read
		}
	}
	st, mode, err := e.cfg.Storage.Open(ctx, o.place, lose)
	if err != nil {
		db.cancel()
		return nil, opening(err, o.name)
	}
	db.mode = mode
	cfg := core.Config{Role: core.RoleDevice, Database: o.name, Now: e.now, Rand: e.cfg.Rand, Feed: o.feed != ""}
	if o.durability == "strict" {
		cfg.Durability = store.Strict
	}
	db.replica, err = core.Open(ctx, db.watched(st), cfg)
	if errors.Is(err, &core.Error{Code: core.Corrupt}) { // what cannot be mended is set aside, and listed
		cfg.Repair = true
		if st, db.mode, err = e.cfg.Storage.Open(ctx, o.place, lose); err == nil {
			db.replica, err = core.Open(ctx, db.watched(st), cfg)
		}
	}
	if err != nil {
		db.cancel()
		return nil, err
	}
	if err := db.connect(); err != nil {
		db.cancel()
		db.replica.Close()
		return nil, err
	}
	db.running.Go(db.tellStatus)
	go func() {
		select {
		case why := <-lost:
			db.lose(taken(why, o.name))
		case <-db.ctx.Done():
		}
	}()
	e.mu.Lock()
	e.db = db
	e.mu.Unlock()
	return db, nil
}

// watched puts a watch over a store.
func (db *database) watched(st store.Store) store.Store {
	db.pulse = &pulse{Store: st, clock: db.e.cfg.Clock, told: db.tellStorage, dead: db.e.end}
	return db.pulse
}

// taken says what it means that a database's storage is gone.
func taken(why error, name string) *core.Error {
	if known, is := errors.AsType[*core.Error](why); is {
		return known
	}
	return fail(core.StorageLost, "the browser has taken the storage of %q away: close the database and open it again", name)
}

// opening says what a store's error means to somebody who opens a database.
func opening(err error, name string) error {
	_, known := errors.AsType[*core.Error](err)
	switch {
	case known:
		return err
	case errors.Is(err, store.ErrLocked):
		return fail(core.Locked, "the database %q is open in another tab, by an engine that this tab cannot share: close that tab, or use it", name)
	case errors.Is(err, store.ErrQuota):
		return fail(core.Quota, "there is no space to open %q: free some storage of this site, or of the device", name)
	}
	return fail(core.StorageLost, "the storage of %q cannot be opened: %v", name, err)
}

// connect begins to sync, where there is a feed.
func (db *database) connect() error {
	if db.opt.feed == "" {
		return nil
	}
	feed := watcher.Feed{
		URL: strings.TrimSuffix(db.opt.feed, "/") + "/v1/" + db.opt.name, Database: db.opt.name, Agent: db.opt.agent,
		Dial: db.e.cfg.Dial, Clock: db.e.cfg.Clock, Rand: db.e.source(), Token: db.token,
	}
	w, err := watcher.NewWatcher(db.replica, feed)
	if err != nil {
		return err
	}
	db.watcher = w
	if db.opt.paused {
		w.Pause()
	}
	w.Subscribe(func(watcher.Status) { db.board.nudge() })
	db.raise = make(chan struct{}, 1)
	db.running.Go(func() { w.Run(db.ctx) })
	db.running.Go(db.writeRules)
	return nil
}

func (db *database) add(p *Port) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.ports[p] = true
	if db.leave != nil {
		db.leave()
		db.leave = nil
	}
}

// remove takes a port off. The last one's close closes the database; one that vanished may be back at once.
func (db *database) remove(p *Port, vanished bool) {
	db.mu.Lock()
	delete(db.ports, p)
	last := len(db.ports) == 0 && db.end == nil
	if last && vanished {
		db.leave = db.e.cfg.Clock.AfterFunc(stay, db.shut)
	}
	db.mu.Unlock()
	switch {
	case last && vanished:
		db.checkpoint()
	case last:
		db.shut()
	}
}

// shut closes the database if nobody has it open.
func (db *database) shut() {
	_ = db.e.enter(context.Background())
	defer func() { <-db.e.gate }()
	if !db.used() {
		db.close(closed)
	}
}

// stepAside ends the program for a page of a newer build, which finds no engine that it understands as long as this one lives.
func (e *Engine) stepAside() {
	_ = e.enter(context.Background()) // for good
	if db := e.current(); db != nil {
		db.close(fail(core.VersionUnknown, "a newer version of this application has the database now, in another tab: reload the page to get that one"))
	}
	e.end()
}

// lose ends a database whose storage is gone.
func (db *database) lose(why *core.Error) {
	_ = db.e.enter(context.Background())
	defer func() { <-db.e.gate }()
	db.close(why)
}

// close ends the database; the gate is held. Whoever still has it open is told why.
func (db *database) close(why *core.Error) {
	db.mu.Lock()
	if db.end != nil {
		db.mu.Unlock()
		return
	}
	db.end = why
	ports := db.list()
	db.mu.Unlock()
	db.e.mu.Lock()
	if db.e.db == db {
		db.e.db = nil
	}
	db.e.mu.Unlock()
	for _, p := range ports {
		p.ended(why)
	}
	db.cancel()
	if db.watcher != nil {
		db.watcher.Close()
	}
	db.running.Wait()
	_ = db.replica.Close() // what was confirmed is stored; the next opening replays what the checkpoint lacks
}

// list returns the ports; mu is held.
func (db *database) list() []*Port {
	ports := make([]*Port, 0, len(db.ports))
	for p := range db.ports {
		ports = append(ports, p)
	}
	return ports
}

// ended returns why requests fail, nil while they do not.
func (db *database) ended() *core.Error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.end
}

// destroy deletes a database. Where it holds what no hub has, that takes force. Pages that have it open lose it.
func (e *Engine) destroy(ctx context.Context, name, place string, force bool) error {
	if err := e.enter(ctx); err != nil {
		return err
	}
	defer func() { <-e.gate }()
	db := e.current()
	if db == nil && !force {
		var err error
		if db, err = e.open(ctx, options{name: name, place: place, durability: "relaxed"}); err != nil {
			return err
		}
	}
	if db != nil {
		n := db.replica.State().Pending
		kept := n > 0 && !force
		if !kept || !db.used() {
			db.close(fail(core.Closed, "the database was destroyed by another page"))
		}
		if kept {
			return fail(unsent, "%s of %q that no hub has would be lost: wait for synced(), or destroy it with {force: true}", changes(n), name)
		}
	}
	if err := e.cfg.Storage.Delete(ctx, place); err != nil {
		return opening(err, name)
	}
	return nil
}

func changes(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}
