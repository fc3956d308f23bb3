package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/token"
	"vsync/edge/worker/rows"
)

// Bounds of an object. All objects of an isolate share 128 MB, and linear memory never shrinks.
const (
	// checkpointBytes is the log that waking replays at most: 10 to 20 ms.
	checkpointBytes = 512 << 10
	// stepBytes bounds one transaction of a checkpoint. What comes densely is written in one: entries are taken out of memory together
	// then, and no page is written twice.
	stepBytes = 768 << 10
	// recentBytes of the feed are kept for readers a little behind; the rest is read again, which costs little here.
	recentBytes = 1 << 20
	// joiningBytes is the least: room for the largest entry that one hands back, beside the largest batch of another.
	joiningBytes = change.MaxEntry + change.MaxBatch
	// credit bounds what is on the way to a device: the platform buffers it, and says nothing of it.
	credit = 4 << 20
	// connections, at about 2 KB each here and some more in JavaScript.
	connections = 5_000
	// tryAgain is how long opening that has failed is not tried again, in ms.
	tryAgain = 2_000
	// waiting for a token are at most so many of them: each for some seconds, in which the object cannot sleep.
	waiting = 500
)

// object is the database of this program.
var object struct {
	name     string
	key      []byte
	keys     *token.Keys // by which tokens are judged; nil: nobody is asked for one
	made     bool        // there was something stored when the program began
	begun    sync.Mutex  // held while the database is opened
	replica  *core.Replica
	hub      *edge.Hub
	failed   error  // of opening
	tried    uint64 // when that was, ms since 1970
	hopeless bool   // it is not tried again: who may come in is not known
	sockets  map[int32]*socket
	waiting  int           // sockets that have not shown a token
	ready    []*socket     // those for which the hub may have something
	kick     chan struct{} // lets pump look at ready
	sent     []byte        // the frame that was sent last, which many get one after the other
}

// A socket is one connection.
type socket struct {
	id      int32
	conn    *edge.Conn // nil until it is admitted
	inbox   [][]byte   // frames that Receive has not taken yet
	reading bool       // a goroutine reads the inbox
	queued  bool       // stands in object.ready
	changed bool       // since it was attached the last time
	kept    string     // what is attached
}

// start begins without the database: it is opened, or made, for who may have it.
func start(key, keys []byte, made bool) {
	object.key, object.made = key, made
	object.sockets = map[int32]*socket{}
	object.kick = make(chan struct{}, 1)
	if len(keys) > 0 {
		var err error
		if object.keys, err = token.ParseKeys(keys); err != nil {
			fail(fmt.Errorf("the secret TOKEN_KEYS: %w", err))
			object.hopeless = true
		}
	}
	digestByPlatform()
	serveAPI()
	go pump()
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "vsync: the database %s cannot be opened: %v\n", object.name, err)
	object.failed, object.tried = err, now()
}

// exists says whether the database was made, in this life of the program or before.
func exists() bool { return object.made || object.hub != nil }

// begin opens the database, or makes it. Where that has failed, it is tried again after a while: storage comes back.
func begin() error {
	object.begun.Lock()
	defer object.begun.Unlock()
	if object.hub != nil || object.hopeless || object.failed != nil && now() < object.tried+tryAgain {
		return object.failed
	}
	jsMade()
	err := open()
	if object.failed = nil; err != nil {
		fail(err)
	}
	return object.failed
}

func open() error {
	ctx := context.Background()
	replica, err := openStore(ctx, false)
	if errors.Is(err, &core.Error{Code: core.Corrupt}) { // what cannot be read is set aside, and listed
		fmt.Fprintf(os.Stderr, "vsync: the database %s is damaged, and is mended: %v\n", object.name, err)
		replica, err = openStore(ctx, true)
	}
	if err != nil {
		return err
	}
	object.replica = replica
	object.hub = edge.NewHub(replica, edge.Config{
		Database: object.name, Auth: auth(), Connections: connections, Credit: credit, Recent: recentBytes, Joining: joiningBytes, Beats: true,
	})
	return nil
}

func openStore(ctx context.Context, repair bool) (*core.Replica, error) {
	st, err := rows.Open(ctx)
	if err != nil {
		return nil, err
	}
	return core.Open(ctx, st, core.Config{
		Role: core.RoleHub, Database: object.name, Now: now, Rand: rand.Reader, Durability: store.Strict, HubKey: object.key,
		CheckpointBytes: checkpointBytes, StepBytes: stepBytes, Go: behindOthers, Repair: repair,
		Alone: true, // the platform has one object, and what it did not store before it ended is gone
		OnDamage: func(f core.Finding) {
			fmt.Fprintf(os.Stderr, "vsync: the database %s is damaged: %v\n", object.name, f)
		},
	})
}

// auth is what judges tokens; nil where there are no keys, and so no tokens.
func auth() func(context.Context, string) (edge.Grant, error) {
	if object.keys == nil {
		return nil
	}
	return func(_ context.Context, text string) (edge.Grant, error) {
		return object.keys.Grant(text, object.name, time.Now())
	}
}

// behindOthers starts work when all goroutines that can run have run: a commit then takes along what they all want stored.
func behindOthers(work func()) {
	spawn(func() {
		runtime.Gosched()
		work()
	})
}

func now() uint64 { return uint64(max(time.Now().UnixMilli(), 0)) }

// The states of an object.
const (
	opening = iota
	isOpen
	isFailed
)

func state() int32 {
	switch {
	case object.failed != nil:
		return isFailed
	case object.hub == nil:
		return opening
	}
	return isOpen
}

// connect takes a new socket. Where tokens are asked for, it waits for one before anything is opened, or made, for it.
func connect(id int32) {
	s := &socket{id: id, changed: true}
	switch {
	case object.failed != nil && (object.keys == nil || object.hopeless):
		s.turnAway(object.failed)
	case object.keys == nil:
		s.enter(object.hub.Connect(now(), edge.Peer{Wake: s.wake}))
	case object.waiting >= waiting:
		s.turnAway(&core.Error{Code: core.Code(wire.CodeRateLimited), Message: "too many connections wait to show a token; come back later"})
	default:
		object.waiting++
		object.sockets[id] = s
	}
}

// admit judges the token of a hello, opens the database for it, and enters the socket.
func (s *socket) admit(hello []byte) error {
	m, err := wire.DecodeUp(hello)
	if err != nil {
		return err
	}
	said, is := m.(*wire.Hello)
	if !is {
		return &core.Error{Code: core.Protocol, Message: fmt.Sprintf("expected hello as the first message, got %v", m.Type())}
	}
	grant, err := object.keys.Grant(said.Token, object.name, time.Now())
	if err != nil {
		return err
	}
	if grant.ReadOnly && !exists() {
		return edge.NoDatabase(object.name)
	}
	if err := begin(); err != nil {
		return err
	}
	if object.sockets[s.id] != s {
		return nil // it has gone meanwhile
	}
	object.waiting--
	jsAdmitted(s.id)
	s.enter(object.hub.Connect(now(), edge.Peer{Wake: s.wake}))
	return nil
}

// late says that a socket has had its time to say hello.
func late(id int32) {
	if s := object.sockets[id]; s != nil && s.conn == nil {
		s.turnAway(&core.Error{Code: core.Protocol, Message: fmt.Sprintf("expected hello within %v", wire.HelloTimeout)})
	}
}

// turnAway says why there is no hub for a socket, in the protocol's words.
func (s *socket) turnAway(err error) {
	frame, end := edge.TurnAway(err)
	jsSend(s.id, address(frame), int32(len(frame)))
	jsClose(s.id, int32(end.Code), end.Reason)
	s.leave()
}

// enter makes the socket one of the object's. The hub may have something for it already.
func (s *socket) enter(c *edge.Conn) {
	s.conn = c
	object.sockets[s.id] = s
	s.wake()
	changed()
}

// take has a frame received.
func take(id int32, frame []byte) {
	s := object.sockets[id]
	if s == nil {
		return
	}
	tick()
	s.inbox = append(s.inbox, frame)
	if !s.reading {
		s.reading = true
		spawn(s.read)
	}
}

// read receives what is in the inbox, all at once: pushes that follow each other share a commit.
func (s *socket) read() {
	for len(s.inbox) > 0 {
		frames := s.inbox
		s.inbox = nil
		for _, frame := range frames {
			provokedBy(frame)
		}
		if s.conn == nil {
			if err := s.admit(frames[0]); err != nil {
				s.turnAway(err)
			}
			if s.conn == nil {
				s.inbox = nil
				return
			}
		}
		if err := s.conn.ReceiveAll(context.Background(), now(), frames); err != nil {
			s.inbox = nil // the connection is over, and pump closes it
		}
	}
	s.reading, s.inbox = false, nil
	s.touch()
	check()
}

// check ends the object where its storage is lost: it opens it anew then.
func check() {
	if object.replica == nil {
		return
	}
	if failed := object.replica.State().Failed; failed != nil {
		panic(fmt.Errorf("the storage is lost: %w", failed))
	}
}

// wake has pump look at the socket. It runs under locks of the hub.
func (s *socket) wake() {
	if s.queued {
		return
	}
	s.queued = true
	object.ready = append(object.ready, s)
	select {
	case object.kick <- struct{}{}:
	default:
	}
}

// pump hands out what the hub has for its devices. It is the only goroutine that does.
func pump() {
	for range object.kick {
		for len(object.ready) > 0 {
			s := object.ready[0]
			object.ready = object.ready[1:]
			s.queued = false
			s.write()
		}
		object.ready, object.sent = nil, nil
	}
}

// write sends all that there is for the socket now.
func (s *socket) write() {
	for s.conn != nil {
		frame, err := s.conn.Poll(context.Background())
		if err != nil {
			s.end(err)
			return
		}
		if frame == nil {
			return
		}
		s.send(frame)
		s.touch()
	}
}

// send sends a frame. JavaScript has its copy still if it is the same that the socket before got; what does not change, and is not
// freed, is known by its place.
func (s *socket) send(frame []byte) {
	if len(object.sent) == len(frame) && address(object.sent) == address(frame) {
		jsSend(s.id, nil, 0)
		return
	}
	object.sent = frame
	jsSend(s.id, address(frame), int32(len(frame)))
}

// end closes the socket of a connection that is over.
func (s *socket) end(err error) {
	end := &edge.End{Code: wire.CloseFault, Reason: "the hub has failed"}
	errors.As(err, &end)
	jsClose(s.id, int32(end.Code), end.Reason)
	s.leave()
}

// gone says that a socket is closed.
func gone(id int32) {
	if s := object.sockets[id]; s != nil {
		s.leave()
	}
}

func (s *socket) leave() {
	if s.conn != nil {
		s.conn.Close()
	} else if object.sockets[s.id] == s {
		object.waiting--
	}
	delete(object.sockets, s.id)
	s.conn = nil
}
