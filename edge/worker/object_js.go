package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"vsync/core"
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
	// stepBytes bounds one transaction of a checkpoint.
	stepBytes = 256 << 10
	// recentBytes of the feed are kept for readers a little behind; the rest is read again, which costs little here.
	recentBytes = 1 << 20
	// joiningBytes has room for two of the largest batches that come in parts.
	joiningBytes = 16 << 20
	// credit bounds what is on the way to a device: the platform buffers it, and says nothing of it.
	credit = 4 << 20
	// connections, at about 2 KB each here and some more in JavaScript.
	connections = 5_000
)

// object is the database of this program.
var object struct {
	replica *core.Replica
	hub     *edge.Hub
	failed  error // of opening
	sockets map[int32]*socket
	ready   []*socket     // those for which the hub may have something
	kick    chan struct{} // lets pump look at ready
	sent    []byte        // the frame that was sent last, which many get one after the other
}

// A socket is one connection.
type socket struct {
	id      int32
	conn    *edge.Conn
	inbox   [][]byte // frames that Receive has not taken yet
	reading bool     // a goroutine reads the inbox
	queued  bool     // stands in object.ready
	changed bool     // since it was attached the last time
	kept    string   // what is attached
}

// start opens the database. It returns at once; state tells what came of it.
func start(name string, key, keys []byte) {
	object.sockets = map[int32]*socket{}
	object.kick = make(chan struct{}, 1)
	go func() {
		if err := open(name, key, keys); err != nil {
			fmt.Fprintf(os.Stderr, "vsync: the database %s cannot be opened: %v\n", name, err)
			object.failed = err
		}
		go pump()
	}()
}

func open(name string, key, keys []byte) error {
	ctx := context.Background()
	auth, err := judge(name, keys)
	if err != nil {
		return err
	}
	st, err := rows.Open(ctx)
	if err != nil {
		return err
	}
	object.replica, err = core.Open(ctx, st, core.Config{
		Role: core.RoleHub, Database: name, Now: now, Rand: rand.Reader, Durability: store.Strict, HubKey: key,
		CheckpointBytes: checkpointBytes, StepBytes: stepBytes, Go: behindOthers,
	})
	if err != nil {
		return err
	}
	object.hub = edge.NewHub(object.replica, edge.Config{
		Database: name, Auth: auth, Connections: connections, Credit: credit, Recent: recentBytes, Joining: joiningBytes, Beats: true,
	})
	return nil
}

// judge returns what judges the tokens of a database; nil where there are no keys, and so no tokens.
func judge(database string, keys []byte) (func(context.Context, string) (edge.Grant, error), error) {
	if len(keys) == 0 {
		return nil, nil
	}
	set, err := token.ParseKeys(keys)
	if err != nil {
		return nil, fmt.Errorf("the secret TOKEN_KEYS: %w", err)
	}
	return func(_ context.Context, text string) (edge.Grant, error) {
		c, err := set.VerifyFor(text, database, time.Now())
		if err != nil {
			return edge.Grant{}, err
		}
		return edge.Grant{Subject: c.Subject, ReadOnly: !c.Write, Expires: uint64(max(c.Expires.UnixMilli(), 1))}, nil
	}, nil
}

// behindOthers starts work when all goroutines that can run have run: a commit then takes along what they all want stored.
func behindOthers(work func()) {
	go func() {
		runtime.Gosched()
		work()
	}()
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

// connect takes a new socket.
func connect(id int32) {
	if object.failed != nil {
		frame, end := edge.TurnAway(object.failed)
		jsSend(id, address(frame), int32(len(frame)))
		jsClose(id, int32(end.Code), end.Reason)
		return
	}
	s := &socket{id: id, changed: true}
	s.enter(object.hub.Connect(now(), edge.Peer{Wake: s.wake}))
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
		go s.read()
	}
}

// provoke is set in tests, where it ends the program for some frames.
var provoke = func(frame []byte) {}

// read receives what is in the inbox.
func (s *socket) read() {
	for len(s.inbox) > 0 {
		frame := s.inbox[0]
		s.inbox = s.inbox[1:]
		provoke(frame)
		if err := s.conn.Receive(context.Background(), now(), frame); err != nil {
			s.inbox = nil // the connection is over, and pump closes it
		}
	}
	s.reading, s.inbox = false, nil
	s.touch()
	if failed := object.replica.State().Failed; failed != nil {
		panic(fmt.Errorf("the storage is lost: %w", failed)) // the object ends, and opens it anew
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
	}
	delete(object.sockets, s.id)
	s.conn = nil
}
