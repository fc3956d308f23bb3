package core

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/pages"
	"vsync/core/store"
)

// Role says which end of the feed a replica is.
type Role uint8

const (
	// RoleDevice writes batches of its own and applies a hub's feed.
	RoleDevice Role = iota
	// RoleHub accepts the devices' batches and gives them their order.
	RoleHub
)

// Config is what a replica needs from outside. Now and Rand are required.
type Config struct {
	Role       Role
	Database   string           // name of the database; a store that holds another is refused
	Now        func() uint64    // ms since 1970
	Rand       io.Reader        // random bytes for ids
	Go         func(func())     // starts work in the background; nil: a goroutine
	Durability store.Durability // of writes that do not say
	// CheckpointBytes is the log after which pages are written; 0: 4 MiB.
	CheckpointBytes int
	// StepBytes is about what one transaction of a checkpoint writes; 0: 1 MiB. A write that comes meanwhile waits for no more.
	StepBytes int
	// Repair mends at opening what is damaged and stands in the way, as far as that can be done. What is mended in any case is not
	// less than without it.
	Repair bool
	// Alone says that nobody else has the store, and that nothing of an engine before this one can come to it late: opening then writes
	// nothing into a store that is there. What marks the life of this engine comes before its first write.
	Alone bool
	// OnDamage is told, at the end of an opening with Repair, and of a hub's log also when damage is met, each thing that was set aside.
	OnDamage func(Finding)
	HubKey   []byte // RoleHub: key of the entries' MAC, at least 16 bytes
	Feed     bool   // RoleDevice: there is a hub
}

func (c *Config) validate() error {
	switch {
	case c.Now == nil || c.Rand == nil:
		return errorf(Invalid, "Config needs Now and Rand")
	case c.Role == RoleHub && len(c.HubKey) < 16:
		return errorf(Invalid, "a hub's key has at least 16 bytes, this one has %d", len(c.HubKey))
	case len(c.Database) > 64:
		return errorf(Invalid, "the name of a database has at most 64 bytes, this one has %d", len(c.Database))
	}
	if c.Go == nil {
		c.Go = func(f func()) { go f() }
	}
	if c.CheckpointBytes <= 0 {
		c.CheckpointBytes = defaultCheckpointBytes
	}
	if c.StepBytes <= 0 {
		c.StepBytes = defaultStepBytes
	}
	return nil
}

// Replica is one replica of a database. Its methods may be called from any goroutine.
type Replica struct {
	cfg    Config
	st     store.Store
	tables *pages.Tables
	log    *changelog.Log
	inc    uint64

	mu      sync.Mutex
	head    head
	voided  map[change.Version]bool // RoleHub: versions that were voided, so that acceptance need not look each parent up
	queue   []*request
	leading bool  // someone forms commits
	closing bool  // no new requests
	failed  error // the store is lost: nothing more can be written
	cp      *pages.Checkpoint
	cpFrom  head          // state when cp began
	cpAt    int64         // log size when cp began, or the last one before it
	cpDone  uint64        // the commit at which the stored checkpoint stands
	cpSize  int64         // log size there; below 0: before the store was opened
	news    chan struct{} // closed and replaced at each commit
	idle    chan struct{} // closed when the leader stops; nil when none leads
	onFeed  func([]FeedEntry)
	onWrite func()

	badSuper []Finding      // superblocks that the first one written replaces
	super    superblock     // the one that is stored; the leader's
	fence    *superblock    // was not written at opening, for want of space, or of a need: see Config.Alone
	sealer   *change.Sealer // RoleHub; the leader's
	found    answered       // RoleDevice; the leader's
	served   served         // RoleHub; the leader's
	ending   sync.Once      // Close
	ended    error

	rejoined  bool // RoleHub: there are names that may come again
	feedMends feedMends

	folds int   // see maxFolds
	spare spare // the leader's

	harm  harm   // what was found damaged
	stuck uint64 // at opening: commit of the log that can be read, and not taken up; 0: none
	said  said   // for History

	helloEnd   change.Generation // highest own generation that the last hello named
	helloShort bool              // the one behind it cannot be read
	helloBase  change.Generation // what hellos have shown to be common with the hub, beyond what the feed confirmed
}

// head is the small part of the state; it changes with each commit, and is stored in the superblock at checkpoints.
type head struct {
	commit   uint64
	base     uint64          // RoleDevice: commit at which the log says anew what the tables hold, behind a hole; 0: it has none
	device   change.DeviceID // RoleDevice: this replica's id
	lineage  change.Lineage
	lastGen  change.Generation // RoleDevice: own batches
	lastHash change.Hash
	marker   change.Marker    // RoleDevice: applied; RoleHub: end of the feed
	accepted uint64           // RoleHub: latest time of acceptance
	aliases  []alias          // ids that it had before, oldest first
	trials   []trial          // RoleHub: batches that an engine may have died at; one a device, at most maxTrials
	rewinds  []rewind         // RoleDevice: where it went back in the feed, the latest last
	back     change.Place     // RoleDevice: the end of the hub's feed when it had got back what was left of it; until it is applied, that is owed
	settled  []change.Version // RoleDevice: former ids, up to where they were handed back or written again
	revived  []revived        // RoleDevice: what it wrote again of former ids, in the order of commits
	rules    []ruling         // in force, by collection
	fills    []fill           // RoleHub: holes of the log that are filled
	tabs     []tab            // RoleDevice: the tabs that wrote last, the latest last; at most maxTabs
}

// Open opens the replica in a store, or makes one in an empty store. The replica owns the store, and closes it, also
// when Open fails.
//
// Errors: CORRUPT names what is damaged, and nothing was overwritten; VERSION for a store of a newer engine;
// INVALID for a store that holds another database, or another role.
func Open(ctx context.Context, st store.Store, cfg Config) (*Replica, error) {
	r, err := open(ctx, st, cfg)
	if err != nil {
		st.Close()
		return nil, typed(err, "opening the database")
	}
	return r, nil
}

func open(ctx context.Context, st store.Store, cfg Config) (*Replica, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	read, err := readSuperblock(ctx, st)
	if err != nil {
		return nil, err
	}
	r := &Replica{cfg: cfg, st: st, voided: map[change.Version]bool{}, folds: maxFolds, news: make(chan struct{}), badSuper: read.bad}
	sb := read.sb
	switch {
	case read.fresh:
		sb, err = newSuperblock(&cfg)
	case sb == nil && cfg.Repair:
		sb, err = r.newSuperblockFor(ctx)
	case sb == nil:
		err = read.reason
	}
	if err != nil {
		return nil, err
	}
	if err := sb.fits(&cfg); err != nil {
		return nil, err
	}
	if err := r.begun(ctx, sb, read.fresh); err != nil {
		return nil, err
	}
	err = r.replay(ctx, sb)
	if errors.Is(err, store.ErrLocked) && r.isAlone(ctx) {
		err = r.overtake(ctx, sb)
	}
	if err == nil && r.head.commit < r.super.upTo {
		err = errorf(Corrupt, "the log ends at commit %d, and there are pages of commit %d: the end of the log is lost; nothing was changed: open the store with repair", r.head.commit, r.super.upTo)
	}
	var over *salvaged
	if err != nil && cfg.Repair && (errors.Is(err, store.ErrCorrupt) || errors.Is(err, &Error{Code: Corrupt})) {
		over, err = r.salvage(ctx, sb, err)
	}
	if err != nil {
		return nil, err
	}
	if err := r.identified(); err != nil {
		return nil, err
	}
	if err := r.loadVoided(ctx); err != nil {
		return nil, err
	}
	if over != nil {
		if err := r.goOn(ctx, over); err != nil {
			return nil, err
		}
	}
	if cfg.Repair && cfg.Role == RoleHub {
		if _, err := r.mendFeed(ctx); err != nil {
			return nil, err
		}
	}
	if cfg.Repair {
		err = r.tell(ctx)
	}
	return r, err
}

// begun stores the new incarnation before anything is read: whatever an engine before this one still had under way is over. Where nothing
// can be, it waits for the first write.
func (r *Replica) begun(ctx context.Context, sb *superblock, fresh bool) (err error) {
	if r.inc, err = nextIncarnation(sb.incarnation, r.cfg.Rand); err != nil {
		return err
	}
	sb.incarnation = r.inc
	r.super = *sb
	if r.cfg.Alone && !r.cfg.Repair && !fresh && len(r.badSuper) == 0 {
		r.fence = sb
		return nil
	}
	switch err := r.writeFence(ctx, sb); {
	case fresh && r.cfg.Role == RoleHub && err != nil:
		return err // devices would belong to a lineage that the next opening does not know
	case errors.Is(err, store.ErrQuota), errors.Is(err, store.ErrReadOnly):
		r.fence = sb // what is there can be read; the first write needs this one before it
	case err != nil:
		return err
	}
	return nil
}

// nextIncarnation counts up in the high half; the low half is random, so that copies of one store part.
func nextIncarnation(last uint64, rand io.Reader) (uint64, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, fmt.Errorf("reading random bytes: %w", err)
	}
	return (last>>32+1)<<32 | uint64(binary.BigEndian.Uint32(b[:])), nil
}

// newID makes 16 random bytes that are not all zero.
func newID(rand io.Reader) (id [16]byte, err error) {
	for id == [16]byte{} {
		if _, err := io.ReadFull(rand, id[:]); err != nil {
			return id, fmt.Errorf("reading random bytes: %w", err)
		}
	}
	return id, nil
}

// Close writes a checkpoint if it can, ends all watchers and closes the store. Writes under way are finished. A second Close waits
// for the first and returns the same.
func (r *Replica) Close() error {
	r.ending.Do(func() { r.ended = r.end() })
	return r.ended
}

func (r *Replica) end() error {
	r.mu.Lock()
	killed := r.closing
	r.closing = true
	idle := r.idle
	r.mu.Unlock()
	if killed {
		return nil
	}
	if idle != nil {
		<-idle
	}
	// Nobody leads now, and nobody will. Without a checkpoint the next opening replays the log.
	if r.alive() == nil {
		r.endTrials()
		_ = r.checkpointAll(context.Background(), &request{})
	}
	r.mu.Lock()
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	r.mu.Unlock()
	if err := r.st.Close(); err != nil {
		return typed(err, "closing the database")
	}
	return nil
}

// Kill ends the replica at once, as the death of its process would: no commit is begun any more. The store stays open, and
// one that was under way may still reach it.
func (r *Replica) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closing = true
	r.failed = errorf(Closed, "the engine was killed")
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

// State is where a replica stands.
type State struct {
	Device       change.DeviceID
	Database     string
	Lineage      change.Lineage // of the hub it belongs to; zero: none yet
	Marker       change.Marker  // what of the feed is applied; RoleHub: the feed's end
	LastGen      change.Generation
	ConfirmedGen change.Generation // own generations that the applied feed has passed
	Pending      int               // own batches that the applied feed has not passed
	Former       int               // of them, those of ids that were given up, which were at the hub then
	Owing        bool              // what the replica has left of the feed may have to be handed back once more
	Commit       uint64
	LogBytes     int64 // written since the store was opened
	LogBehind    int64 // behind the stored checkpoint, whenever it was written: what opening replays
	Failed       error // the store is lost: nothing more can be written
}

// State returns where the replica stands.
func (r *Replica) State() State {
	r.mu.Lock()
	h, failed, size := r.head, r.failed, r.log.Size()
	behind := size - r.cpSize
	r.mu.Unlock()
	s := State{Device: h.device, Database: r.cfg.Database, Lineage: h.lineage, Marker: h.marker, LastGen: h.lastGen,
		Commit: h.commit, LogBytes: size, LogBehind: behind, Failed: failed}
	if r.cfg.Role == RoleDevice {
		s.ConfirmedGen, s.Pending, s.Former = r.pending(h)
		s.Owing = h.owing()
	}
	return s
}

// pending counts the own batches that the feed has not passed, of ids that were given up too.
func (r *Replica) pending(h head) (confirmed change.Generation, n, former int) {
	ctx := context.Background()
	rec, err := readDevice(ctx, r.tables, h.device)
	if err != nil {
		return 0, 0, 0
	}
	if rec.Last < h.lastGen { // the row may be newer than h
		n = int(h.lastGen - rec.Last)
	}
	for _, a := range h.aliases {
		if old, err := readDevice(ctx, r.tables, a.Old); err == nil {
			former += int(a.Common - min(a.Common, max(old.Last, h.settledUpTo(a.Old)))) // beyond that the feed may bring them under other names
		}
	}
	return rec.Last, n + former, former
}
