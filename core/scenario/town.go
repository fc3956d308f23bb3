package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"vsync/core"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
)

// A Town is a world in this process: a hub in memory, pipes to it, and disks in memory, where there are no others.
//
//	watcher ─▶ line ─▶ pipe ─▶ edge.Conn ─▶ core.Replica ─▶ store.Memory
type Town struct {
	disk  func(ctx context.Context, device string) (store.Store, error) // nil: in memory
	disks map[string]*store.Memory

	mu      sync.Mutex
	hub     *edge.Hub
	replica *core.Replica
	stored  *store.Memory
	backup  *store.Memory // what HubBackup kept
	key     byte          // counts hubs that were wiped
	lives   uint64
	conns   []wire.Conn // the hub's ends
	now     atomic.Uint64
}

const (
	database  = "scenario"
	pipeBytes = 300_000 // a frame and a bit: who does not read makes the other wait

	maxUndo = 1000 // relaxed commits that a power cut can take
)

// NewTown returns a town whose devices have their disks in memory, or where disk opens them.
func NewTown(ctx context.Context, disk func(ctx context.Context, device string) (store.Store, error)) (*Town, error) {
	t := &Town{disk: disk, disks: map[string]*store.Memory{}, stored: store.NewMemory()}
	t.now.Store(1_700_000_000_000)
	return t, t.start(ctx)
}

func (t *Town) start(ctx context.Context) error {
	t.lives++
	replica, err := core.Open(ctx, t.stored, core.Config{Role: core.RoleHub, Database: database, HubKey: fmt.Append(nil, "a key of the scenarios ", t.key),
		Now: func() uint64 { return t.now.Add(1) }, Rand: rand.NewChaCha8([32]byte{byte(t.lives)}), CheckpointBytes: 64 << 10})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replica, t.hub = replica, edge.NewHub(replica, edge.Config{Database: database})
	return nil
}

// Close ends the hub.
func (t *Town) Close() error {
	hub, replica := t.cutAll()
	if hub == nil { // it is closed
		return nil
	}
	hub.Close()
	return replica.Close()
}

// cutAll breaks all connections, and takes no more.
func (t *Town) cutAll() (*edge.Hub, *core.Replica) {
	t.mu.Lock()
	hub, replica, conns := t.hub, t.replica, t.conns
	t.hub, t.conns = nil, nil
	t.mu.Unlock()
	for _, c := range conns {
		c.Close(wire.CloseAbnormal, "")
	}
	return hub, replica
}

// Database implements World.
func (t *Town) Database() string { return database }

// Disk implements World.
func (t *Town) Disk(ctx context.Context, device string) (store.Store, error) {
	if t.disk != nil {
		return t.disk(ctx, device)
	}
	m := store.NewMemory()
	if before := t.disks[device]; before != nil {
		m = before.Clone()
	}
	m.History = maxUndo
	t.disks[device] = m
	return m, nil
}

// PowerCut implements PowerCutter.
func (t *Town) PowerCut(device string, n int) error {
	if t.disk != nil {
		return ErrCannot
	}
	t.disks[device] = t.disks[device].PowerLoss(n)
	return nil
}

// Dial implements World.
func (t *Town) Dial(context.Context, string) (wire.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hub == nil {
		return nil, errDown
	}
	a, b := wire.Pipe(pipeBytes)
	t.conns = append(t.conns, b)
	c := t.hub.Connect(t.now.Load(), edge.Peer{Address: fmt.Sprint(len(t.conns))})
	go t.read(b, c)
	go t.write(b, c)
	return a, nil
}

func (t *Town) read(b wire.Conn, c *edge.Conn) {
	ctx := context.Background()
	for {
		frame, err := b.Read(ctx)
		if err != nil || c.Receive(ctx, t.now.Load(), frame) != nil {
			break
		}
	}
	c.Close()
}

func (t *Town) write(b wire.Conn, c *edge.Conn) {
	ctx := context.Background()
	for {
		frame, err := c.Next(ctx)
		if err != nil {
			var over *edge.End
			if errors.As(err, &over) {
				b.Close(over.Code, over.Reason)
			}
			return
		}
		if b.Write(ctx, frame) != nil {
			c.Close()
		}
	}
}

// Hub implements World: it is the hub's own replica.
func (t *Town) Hub(context.Context) (*core.Replica, func() error, error) {
	if t.hub == nil {
		return nil, nil, errDown
	}
	return t.replica, func() error { return nil }, nil
}

// errDown is what everybody is told while the hub is closed.
var errDown = errors.New("scenario: the hub is down")

// HubClose implements World.
func (t *Town) HubClose(context.Context) error { return t.Close() }

// HubOpen implements World.
func (t *Town) HubOpen(ctx context.Context) error {
	t.stored = t.stored.Clone()
	return t.start(ctx)
}

// HubCrash implements World.
func (t *Town) HubCrash(ctx context.Context) error { return t.hubDies(ctx, (*store.Memory).Clone) }

// HubBackup implements World.
func (t *Town) HubBackup(context.Context) error {
	t.backup = t.stored.Clone()
	return nil
}

// HubRestore implements World.
func (t *Town) HubRestore(ctx context.Context) error {
	if t.backup == nil {
		return errNoBackup
	}
	return t.hubDies(ctx, func(*store.Memory) *store.Memory { return t.backup.Clone() })
}

// HubEmpty implements World.
func (t *Town) HubEmpty(ctx context.Context) error {
	return t.hubDies(ctx, func(*store.Memory) *store.Memory { return store.NewMemory() })
}

// HubWipe implements World.
func (t *Town) HubWipe(ctx context.Context) error {
	t.key++
	return t.HubEmpty(ctx)
}

// hubDies ends the hub's process, and starts the next one on what is left of its disk. What a commit that is still under way does,
// is not in a copy.
func (t *Town) hubDies(ctx context.Context, leaves func(*store.Memory) *store.Memory) error {
	_, replica := t.cutAll()
	t.stored = leaves(t.stored)
	replica.Kill()
	return t.start(ctx)
}

// errNoBackup says that a script has to keep a copy first.
var errNoBackup = errors.New("scenario: there is no copy of the hub's disk: let backup hub stand before restore hub")

// HubCheckpoint implements World.
func (t *Town) HubCheckpoint(ctx context.Context) error { return t.replica.Checkpoint(ctx) }

var (
	_ World       = (*Town)(nil)
	_ PowerCutter = (*Town)(nil)
)
