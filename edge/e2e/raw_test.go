package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/ws"
)

// putNote writes a note on a device and waits until the hub has it.
func putNote(t *testing.T, d *device, id, text string) {
	t.Helper()
	value, err := change.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := d.Put(program.Soon(t), change.Key{Collection: notes, ID: id}, value)
	if err == nil {
		err = d.WaitSynced(program.Soon(t), receipt.Version)
	}
	if err != nil {
		t.Fatalf("%s: %v: %+v", id, err, d.feed.Status())
	}
}

// awaitNote waits until a device has a note.
func awaitNote(t *testing.T, d *device, id, text string) {
	t.Helper()
	key := change.Key{Collection: notes, ID: id}
	for e, err := range d.Watch(program.Soon(t), core.WatchOptions{}) {
		if err != nil {
			t.Fatalf("waiting for %s: %v: %+v", key, err, d.feed.Status())
		}
		for _, c := range e.Changes {
			if got, err := change.ToJSON(c.Value); c.Key == key && err == nil && string(got) == strconv.Quote(text) {
				return
			}
		}
	}
}

func follower(t *testing.T, addr, name string, seed uint64) *device {
	t.Helper()
	d, err := openDevice(program.Soon(t), filepath.Join(t.TempDir(), fmt.Sprint(seed)), program.DatabaseURL(addr, name), seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.close() })
	d.follow()
	if err := d.reach(program.Soon(t), "being live", func(s watcher.Status) bool { return s.Phase == watcher.PhaseLive }); err != nil {
		t.Fatal(err)
	}
	return d
}

// A raw is a device that says what it is told to.
type raw struct {
	conn   wire.Conn
	device change.DeviceID
}

func newRaw(t *testing.T, addr string, name byte) *raw {
	t.Helper()
	conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(addr, database))
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{conn: conn}
	t.Cleanup(func() { conn.Close(wire.CloseNormal, "") })
	r.write(t, frameOf(t, r.hello(database, name)))
	r.await(t, wire.TypeWelcome)
	return r
}

func (r *raw) hello(name string, device byte) *wire.Hello {
	r.device = change.DeviceID{0: device, 15: 1}
	return &wire.Hello{Protocol: wire.Protocol, Database: name, Device: r.device, LowestHeld: 1, Credit: wire.DefaultCredit, Agent: "raw"}
}

// parts are the frames of a push of one batch of this size, more than one.
func (r *raw) parts(t *testing.T, size int) (frames [][]byte) {
	t.Helper()
	value, err := change.Encode(strings.Repeat("v", size))
	if err != nil {
		t.Fatal(err)
	}
	b := change.Batch{
		Header:    change.Header{Device: r.device, Gen: 1, Stamp: now()},
		Mutations: []change.Mutation{{Key: change.Key{Collection: "large", ID: "1"}, Value: value}},
	}
	bytes, err := b.Encode(change.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	for p := range wire.SplitPush(1, [][]byte{bytes}, wire.FrameBudget) {
		frames = append(frames, frameOf(t, p))
	}
	if len(frames) < 2 {
		t.Fatalf("%d parts", len(frames))
	}
	return frames
}

func frameOf(t testing.TB, m wire.Message) []byte {
	t.Helper()
	frame, err := wire.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func (r *raw) write(t *testing.T, frame []byte) {
	t.Helper()
	if err := r.conn.Write(program.Soon(t), frame); err != nil {
		t.Fatal(err)
	}
}

// await reads until a message of a type comes.
func (r *raw) await(t *testing.T, typ wire.Type) wire.Message {
	t.Helper()
	for {
		frame, err := r.conn.Read(program.Soon(t))
		if err != nil {
			t.Fatalf("waiting for %v: %v", typ, err)
		}
		if wire.IsBeat(frame) {
			continue
		}
		m, err := wire.DecodeDown(frame)
		if err != nil {
			t.Fatal(err)
		}
		if m.Type() == typ {
			return m
		}
	}
}
