package edge

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// asleep is a hub that forgets everything but its devices' connections, and goes on with them.
func asleep(t testing.TB, replica Replica, devices ...*device) *Hub {
	t.Helper()
	h := NewHub(replica, Config{Database: "db", Frame: wire.MinFrameBudget})
	for _, d := range devices {
		if d.conn == nil {
			continue
		}
		frozen := d.conn.Freeze()
		if len(frozen) > MaxFrozen {
			t.Fatalf("%d bytes of a connection are to be kept", len(frozen))
		}
		c, err := h.Thaw(0, Peer{}, frozen)
		if err != nil {
			t.Fatal(err)
		}
		if again := c.Freeze(); !bytes.Equal(again, frozen) {
			t.Fatalf("frozen again it is\n%x, it was\n%x", again, frozen)
		}
		d.conn = c
	}
	return h
}

// A hub sleeps again and again, in the middle of all that devices do, and no device sees more of it than a resend.
func TestSleep(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sleepOften(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func sleepOften(t *testing.T, r *rand.Rand) {
	ctx, f := context.Background(), newFake()
	devices := []*device{newDevice('A'), newDevice('B'), newDevice('C')}
	h := asleep(t, f)
	for _, d := range devices {
		join(t, h, d)
	}
	for range 60 {
		d := devices[r.IntN(len(devices))]
		switch r.IntN(5) {
		case 0:
			d.write([]int{20, 300, 20_000}[r.IntN(3)])
			if err := d.push(ctx, 0, d.last(), d.last(), wire.MinFrameBudget); err != nil {
				t.Fatal(err)
			}
		case 1:
			takeAll(t, d)
		case 2:
			if err := d.conn.Receive(ctx, 0, frame(&wire.Seen{Seq: d.seq, Hash: d.hash})); err != nil {
				t.Fatal(err)
			}
		case 3: // a sleep in the middle of a push that comes in parts
			d.write(20_000)
			sleepAmongParts(t, &h, f, d, devices)
		case 4:
			for _, d := range devices {
				takeAll(t, d)
			}
			h = asleep(t, f, devices...)
		}
	}
	for _, d := range devices {
		takeAll(t, d)
		if head := f.Head().Seq; d.seq != head || d.base != d.last() {
			t.Errorf("%c is at %d of %d, and %d of its %d were answered", d.id[0], d.seq, head, d.base, d.last())
		}
	}
}

// sleepAmongParts pushes the last generation of d in parts; what it asks for again it gets.
func sleepAmongParts(t *testing.T, h **Hub, f *fake, d *device, devices []*device) {
	t.Helper()
	var parts [][]byte
	for p := range wire.SplitPush(d.last(), d.batches[d.last()-1:], wire.MinFrameBudget) {
		parts = append(parts, frame(p))
	}
	for i, p := range parts {
		if i == len(parts)/2 {
			for _, d := range devices {
				takeAll(t, d)
			}
			*h = asleep(t, f, devices...)
		}
		if err := d.conn.Receive(context.Background(), 0, p); err != nil {
			t.Fatal(err)
		}
	}
	if lines := takeAll(t, d); len(lines) == 0 || lines[0] != fmt.Sprintf("resend %d", d.last()) {
		t.Fatalf("the beginning was forgotten, and the answer is %q", lines)
	}
	if err := d.push(context.Background(), 0, d.last(), d.last(), wire.FrameBudget); err != nil {
		t.Fatal(err)
	}
}

// What a device has written may come to the hub by another, who hands it back. Behind that it is asked for what is missing.
func TestResendBehindWhatOthersHandedBack(t *testing.T) {
	ctx, f := context.Background(), newFake()
	h := NewHub(f, Config{Database: "db"})
	d := newDevice('A')
	d.write(20)
	d.write(20_000)
	join(t, h, d)
	if _, err := f.Accept(ctx, []core.Incoming{{Device: d.id, Bytes: d.batches[0]}}); err != nil {
		t.Fatal(err)
	}
	takeAll(t, d)
	var parts [][]byte
	for p := range wire.SplitPush(2, d.batches[1:], wire.MinFrameBudget) {
		parts = append(parts, frame(p))
	}
	if err := d.conn.Receive(ctx, 0, parts[1]); err != nil {
		t.Fatal(err)
	}
	if lines := takeAll(t, d); len(lines) != 1 || lines[0] != "resend 2" {
		t.Fatal(lines)
	}
	if err := d.push(ctx, 0, 2, 2, wire.FrameBudget); err != nil {
		t.Fatal(err)
	}
	takeAll(t, d)
	if d.base != 2 {
		t.Fatal(d.base)
	}
}

// A reader who has credit for nothing is slow after the time for that, however often the hub sleeps meanwhile; one who was not behind before
// a sleep has all of the time.
func TestSlowThroughSleeps(t *testing.T) {
	ctx, f := context.Background(), newFake()
	h := NewHub(f, Config{Database: "db"})
	writer, reader := newDevice('A'), newDevice('B')
	join(t, h, writer)
	reader.conn = h.Connect(0, Peer{})
	hello := reader.hello()
	hello.Credit = 1
	if err := reader.conn.Receive(ctx, 0, frame(hello)); err != nil {
		t.Fatal(err)
	}
	expect(t, reader, "welcome resume behind 0, common 0, last 0, head 0")
	sleep := func(until uint64) {
		t.Helper()
		frozen := reader.conn.Freeze()
		h = NewHub(f, Config{Database: "db"})
		c, err := h.Thaw(until, Peer{}, frozen)
		if err != nil {
			t.Fatal(err)
		}
		reader.conn = c
		h.Tick(until)
	}
	const hour = 3_600_000
	sleep(hour)
	join(t, h, writer)
	writer.write(20)
	writer.write(20)
	pushAll(t, writer, 1) // the reader takes the first, and has no credit for the second
	h.Tick(hour + 1_000)
	expect(t, reader, "changes 1: A:1")
	reader.conn.Heard(hour + 2_000)
	h.Tick(hour + 2_000)
	h.Tick(hour + 3_000)
	for at := uint64(hour + 13_000); at < hour+62_000; at += 10_000 {
		sleep(at)
		expect(t, reader)
	}
	sleep(hour + 63_000)
	expect(t, reader, "bye slow retry 5000", "over 1000 slow")
}

// takeAll takes what there is, and says so.
func takeAll(t *testing.T, d *device) (all []string) {
	t.Helper()
	for {
		lines := drain(t, d)
		all = append(all, lines...)
		if d.conn == nil {
			t.Fatalf("the connection ended: %q", all)
		}
		if err := d.conn.Receive(context.Background(), 0, frame(&wire.Seen{Seq: d.seq})); err != nil {
			t.Fatal(err)
		}
		if len(lines) == 0 {
			return all
		}
	}
}

func TestAConnectionAtItsLargestCanBeKept(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	const most = 1<<53 - 1
	c := d.conn
	c.subject = strings.Repeat("s", 512)
	c.pos, c.piece, c.credit = 0, change.MaxBatch, 1<<30
	c.held, c.ownHigh, c.pieceHigh, c.ownSent, c.last, c.awaiting = most, most, most, most, most, most
	for range wire.MaxPushes {
		c.unanswered = append(c.unanswered, most)
	}
	for range maxUnseen {
		c.unseen = append(c.unseen, handed{last: most, bytes: 1 << 10, hash: change.Hash{1}})
	}
	frozen := c.Freeze()
	t.Logf("%d bytes", len(frozen))
	if len(frozen) > MaxFrozen {
		t.Fatalf("%d bytes", len(frozen))
	}
	h2 := NewHub(h.replica, Config{Database: "db"})
	woken, err := h2.Thaw(0, Peer{}, frozen)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(woken.unseen); n != maxFrozenUnseen || woken.onWay != maxUnseen<<10 {
		t.Errorf("%d records of %d bytes", n, woken.onWay)
	}
}

func TestWhatDoesNotFitIsNotThawed(t *testing.T) {
	f := newFake()
	h := NewHub(f, Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	d.write(10)
	pushAll(t, d, 1)
	drain(t, d)
	frozen := d.conn.Freeze()

	d.conn, _ = NewHub(newFake(), Config{Database: "db"}).Thaw(0, Peer{}, frozen) // one that has not got so far
	expect(t, d, "bye closing retry 1000", "over 1001 closing")

	for n := range frozen {
		if _, err := h.Thaw(0, Peer{}, frozen[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were thawed", n, len(frozen))
		}
	}
	if _, err := h.Thaw(0, Peer{}, append(bytes.Clone(frozen), 0)); err == nil {
		t.Error("one byte more was thawed")
	}
	d.conn = h.Connect(0, Peer{})
	d.conn.Close()
	if frozen := d.conn.Freeze(); frozen != nil {
		t.Errorf("of a connection that is over, %x is kept", frozen)
	}
}

// What is not greeted yet goes on, too.
func TestAnOpenedConnectionSleeps(t *testing.T) {
	f := newFake()
	d := newDevice('A')
	d.conn = NewHub(f, Config{Database: "db"}).Connect(0, Peer{})
	asleep(t, f, d)
	if err := d.conn.Receive(context.Background(), 0, frame(d.hello())); err != nil {
		t.Fatal(err)
	}
	expect(t, d, "welcome resume behind 0, common 0, last 0, head 0")
}

// Wake is told of everything that Poll has.
func TestWakeIsTold(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	woken := map[string]bool{}
	reader, writer := newDevice('B'), newDevice('A')
	reader.conn = h.Connect(0, Peer{Wake: func() { woken["reader"] = true }})
	if err := reader.conn.Receive(context.Background(), 0, frame(reader.hello())); err != nil {
		t.Fatal(err)
	}
	if !woken["reader"] {
		t.Error("the welcome was not told")
	}
	drain(t, reader)
	join(t, h, writer)
	clear(woken)
	writer.write(10)
	pushAll(t, writer, 1)
	if !woken["reader"] {
		t.Error("a commit was not told")
	}
	drain(t, reader)
	clear(woken)
	h.Close()
	if !woken["reader"] {
		t.Error("the end was not told")
	}
}

func TestTurnAway(t *testing.T) {
	hubs := map[wire.Code]bool{wire.CodeInternal: true, wire.CodeCorrupt: true, wire.CodeQuota: true, wire.CodeRateLimited: true, wire.CodeNotFound: true}
	for _, c := range []struct {
		err  error
		code wire.Code
	}{
		{fmt.Errorf("a name that is nobody's business"), wire.CodeInternal},
		{&core.Error{Code: core.Corrupt, Message: "a name"}, wire.CodeCorrupt},
		{&core.Error{Code: core.Quota}, wire.CodeQuota},
		{&core.Error{Code: core.Closed, Message: "closing"}, wire.CodeRateLimited},
		{&core.Error{Code: core.Forbidden, Message: "another database"}, wire.CodeForbidden},
		{NoDatabase("notes"), wire.CodeNotFound},
		{&core.Error{Code: "UNAUTHENTICATED", Message: "expired"}, wire.CodeUnauthenticated},
		{fmt.Errorf("a device's: %w", &wire.ProtocolError{Code: wire.CodeProtocol, Problem: "no frame"}), wire.CodeProtocol},
	} {
		frame, end := TurnAway(c.err)
		m, err := wire.DecodeDown(frame)
		said, is := m.(*wire.Error)
		if err != nil || !is || said.Code != c.code || said.Retry == 0 && hubs[c.code] || strings.Contains(said.Text, "a name") || end.Code != wire.CloseFault {
			t.Errorf("%v: %+v, %v, %v", c.err, m, err, end)
		}
	}
}

func FuzzThaw(f *testing.F) {
	h := NewHub(newFake(), Config{Database: "db", Connections: 1 << 30})
	d := newDevice('A')
	join(f, h, d)
	f.Add(d.conn.Freeze())
	f.Add([]byte{frozenFormat, frozenOpened})
	f.Fuzz(func(t *testing.T, frozen []byte) {
		c, err := h.Thaw(0, Peer{}, frozen)
		if err != nil {
			return
		}
		for {
			if frame, err := c.Poll(context.Background()); err != nil || frame == nil {
				break
			}
		}
		_ = c.Receive(context.Background(), 0, frame(&wire.Ping{N: 1}))
		c.Close()
	})
}
