package edge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// join connects a device to a hub and takes the welcome.
func join(t testing.TB, h *Hub, d *device) {
	t.Helper()
	d.conn = h.Connect(0, Peer{})
	d.join.Reset()
	if err := d.conn.Receive(context.Background(), 0, frame(d.hello())); err != nil {
		t.Fatal(err)
	}
	if lines := drain(t, d); len(lines) == 0 || !strings.HasPrefix(lines[0], "welcome") {
		t.Fatalf("got %q", lines)
	}
}

func drain(t testing.TB, d *device) []string {
	t.Helper()
	lines, err := d.drain(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func pushAll(t testing.TB, d *device, from change.Generation) {
	t.Helper()
	if err := overIsFine(d.push(context.Background(), 0, from, d.last(), wire.FrameBudget)); err != nil {
		t.Fatal(err)
	}
}

// expect drains a device, and wants exactly these lines.
func expect(t testing.TB, d *device, want ...string) {
	t.Helper()
	if got := drain(t, d); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("want %q, got %q", want, got)
	}
}

func TestOneEncodingForAllReaders(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	writer := newDevice('A')
	join(t, h, writer)
	readers := make([]*device, 100)
	for i := range readers {
		readers[i] = newDevice(byte(100 + i))
		join(t, h, readers[i])
	}
	for round := range 10 {
		for range 1 + round*7 {
			writer.write(50)
		}
		before := h.Stats()
		pushAll(t, writer, writer.base+1)
		for _, d := range append(readers, writer) {
			drain(t, d)
			if d.seq != uint64(writer.last()) {
				t.Fatalf("%c is at %d of %d", d.id[0], d.seq, writer.last())
			}
		}
		after := h.Stats()
		if n := after.Encoded - before.Encoded; n != 2 {
			t.Errorf("%d encodings, want one of changes and one of accepted", n)
		}
		if n := after.Delivered - before.Delivered; n != uint64(101*(1+round*7)) {
			t.Errorf("%d entries handed out", n)
		}
	}
}

func TestOneEncodingOfALargeEntry(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db", Recent: 1}) // it is kept beyond the bound
	writer := newDevice('A')
	join(t, h, writer)
	writer.write(1_000_000)
	pushAll(t, writer, 1)
	for i := range 20 {
		d := newDevice(byte(100 + i))
		join(t, h, d)
		if d.seq != 1 {
			t.Fatalf("reader %d is at %d", i, d.seq)
		}
	}
	if n := h.Stats().Encoded; n != 4 {
		t.Errorf("%d encodings, want one of each of 4 parts", n)
	}
}

// What follows each other in small commits goes in one frame to those who come later.
func TestThoseBehindGetOneFrame(t *testing.T) {
	f := newFake()
	h := NewHub(f, Config{Database: "db"})
	writer, reader := newDevice('A'), newDevice('B')
	join(t, h, writer)
	join(t, h, reader)
	for range 50 {
		writer.write(50)
		pushAll(t, writer, writer.last())
		drain(t, writer)
	}
	if lines := drain(t, reader); len(lines) != 1 || reader.seq != 50 {
		t.Errorf("got %d frames up to %d", len(lines), reader.seq)
	}
	if f.reads != 0 {
		t.Errorf("%d reads of what was told a moment ago", f.reads)
	}
}

func TestUnansweredPushes(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	for range wire.MaxPushes + 1 {
		d.write(10)
		pushAll(t, d, d.last())
	}
	expect(t, d, "error PROTOCOL gen 17", "over 4000 PROTOCOL")

	join(t, h, d) // what was taken came now, and so its pushes are answered
	pushAll(t, d, d.last())
	drain(t, d)
	for range 5 * wire.MaxPushes {
		d.write(10)
		pushAll(t, d, d.last())
		if d.last()%wire.MaxPushes == 0 {
			drain(t, d)
		}
	}
	drain(t, d)
	if d.base != d.last() {
		t.Errorf("answered up to %d of %d", d.base, d.last())
	}
}

// Pushes of what the stream has answered already are not unanswered.
func TestDuplicatesAreAnsweredBefore(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	d.write(10)
	for range 3 * wire.MaxPushes {
		pushAll(t, d, 1)
		drain(t, d)
	}
	if h.Stats().Head != 1 || d.conn == nil {
		t.Errorf("head %d, connection %v", h.Stats().Head, d.conn)
	}
}

func TestWhoAsksWithoutReadingIsSlow(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	var err error
	for n := 0; err == nil && n < 10*maxAnswers; n++ {
		err = d.conn.Receive(context.Background(), 0, frame(&wire.Ping{N: uint64(n)}))
	}
	var over *End
	if !errors.As(err, &over) || over.Reason != "slow" {
		t.Fatalf("got %v", err)
	}
	lines := drain(t, d)
	if len(lines) != maxAnswers+2 || lines[maxAnswers] != "bye slow retry 5000" {
		t.Errorf("got %d lines, the last two %q", len(lines), lines[len(lines)-2:])
	}
}

func TestPartsOfAllConnectionsAreBounded(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db", Joining: 1}) // the least
	piece := make([]byte, 1_000_000)
	refused := 0
	for i := range 24 {
		d := newDevice(byte(100 + i))
		join(t, h, d)
		if err := d.conn.Receive(context.Background(), 0, frame(&wire.Push{Gen: 1, Batches: [][]byte{piece}, Part: wire.Part{More: true}})); err != nil {
			expect(t, d, "error RATE_LIMITED retry 5000", "over 4000 RATE_LIMITED")
			refused++
		}
	}
	if s := h.Stats(); refused != 3 || s.Joining != 21_000_000 || s.Connections != 21 {
		t.Errorf("%d refused, %+v", refused, s)
	}
	h.Close()
	if s := h.Stats(); s.Joining != 0 || s.Connections != 0 || s.Streaming != 0 {
		t.Errorf("behind Close: %+v", s)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db", Connections: 2})
	a, b, c := newDevice('A'), newDevice('B'), newDevice('C')
	join(t, h, a)
	join(t, h, b)
	c.conn = h.Connect(0, Peer{})
	expect(t, c, "error RATE_LIMITED retry 5000", "over 4000 RATE_LIMITED")
	a.conn.Close()
	join(t, h, c)
}

// What fails at the hub ends the connection that met it, tells no secrets, and nobody else suffers.
func TestTheReplicaFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{errors.New("open /var/lib/secret: permission denied"), []string{"error INTERNAL retry 5000", "over 4000 INTERNAL"}},
		{&core.Error{Code: core.Corrupt, Message: "row 7"}, []string{"error CORRUPT retry 30000", "over 4000 CORRUPT"}},
		{&core.Error{Code: core.StorageLost}, []string{"error INTERNAL retry 5000", "over 4000 INTERNAL"}},
		{&core.Error{Code: core.Closed}, []string{"bye closing retry 1000", "over 1001 closing"}},
	} {
		f := newFake()
		h := NewHub(f, Config{Database: "db", Recent: 1})
		reader, writer := newDevice('A'), newDevice('B')
		join(t, h, reader)
		join(t, h, writer)
		writer.write(10)
		writer.write(10)
		f.readErr = tt.err
		pushAll(t, writer, 1)
		h.recent.init(1) // nothing is recent
		expect(t, reader, tt.want...)
		f.readErr = nil
		expect(t, writer, "accepted 1: 1 to 2")
		f.fail(tt.err)
		writer.write(10)
		pushAll(t, writer, 3)
		expect(t, writer, tt.want...)
	}
}

// A replica that leaves out a sequence, or has nothing where the head says there is something, is
// found out before a reader sees it.
func TestAGapInTheFeedIsNotHandedOut(t *testing.T) {
	for _, keep := range []int{0, 1} {
		f := newFake()
		h := NewHub(f, Config{Database: "db"})
		writer := newDevice('A')
		join(t, h, writer)
		writer.write(10)
		writer.write(10)
		pushAll(t, writer, 1)
		drain(t, writer)
		h.recent.init(1)
		f.feed = f.feed[1 : 1+keep]
		reader := newDevice('B')
		reader.conn = h.Connect(0, Peer{})
		if err := reader.conn.Receive(context.Background(), 0, frame(reader.hello())); err != nil {
			t.Fatal(err)
		}
		lines := drain(t, reader)
		if len(lines) != 3 || lines[1] != "error INTERNAL retry 5000" {
			t.Errorf("got %q", lines)
		}
	}
}

// An entry that was begun as changes is finished so, though the device shows meanwhile that it has it.
func TestPartsGoOnAsTheyBegan(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db", Frame: wire.MinFrameBudget})
	d := newDevice('A')
	join(t, h, d)
	d.write(9000)
	pushAll(t, d, 1)
	d.conn.Close()
	d.conn = h.Connect(0, Peer{})
	hello := d.hello()
	hello.Own = nil
	ctx := context.Background()
	if err := d.conn.Receive(ctx, 0, frame(hello)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"welcome resume behind 0, common 0, last 1, head 1", "changes, part, 3995 bytes so far"} {
		b, err := d.conn.Poll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if line, _, err := d.take(b); line != want || err != nil {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	pushAll(t, d, 1)
	expect(t, d, "changes, part, 7990 bytes so far", "changes 1: A:1")
}

// A device that waits for its push is not silent, and a clock that is set back makes nobody so.
func TestWhoIsBusyIsNotSilent(t *testing.T) {
	f := newFake()
	h := NewHub(f, Config{Database: "db"})
	a, b := newDevice('A'), newDevice('B')
	join(t, h, a)
	a.write(10)
	f.commit.Lock() // a disk that takes long
	var pushed sync.WaitGroup
	pushed.Go(func() { pushAll(t, a, 1) })
	for !busy(a.conn) {
		time.Sleep(time.Millisecond)
	}
	h.Tick(40_000)
	f.commit.Unlock()
	pushed.Wait()
	h.Tick(60_000)
	expect(t, a, "accepted 1: 1 to 1")
	join(t, h, b)
	h.Tick(20_000)
	h.Tick(0)
	h.Tick(71_000)
	expect(t, a, "over 4001 silence")
}

// Where the host answers beats, they are told.
func TestWhoBeatsIsNotSilent(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db", Beats: true})
	d := newDevice('A')
	d.conn = h.Connect(0, Peer{})
	if err := d.conn.Receive(context.Background(), 0, frame(d.hello())); err != nil {
		t.Fatal(err)
	}
	first, err := d.conn.Poll(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := wire.DecodeDown(first); err != nil || !m.(*wire.Welcome).Beat {
		t.Errorf("the welcome is %+v, %v", m, err)
	}
	for at := uint64(10_000); at <= 100_000; at += 10_000 {
		d.conn.Heard(at)
		h.Tick(at + 9_000)
	}
	expect(t, d)
	h.Tick(130_000)
	expect(t, d, "over 4001 silence")
}

func busy(c *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}

// Next waits, and ends with its context or with the connection.
func TestNextWaits(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	ctx, cancel := context.WithCancel(context.Background())
	ends := make(chan error)
	go func() { _, err := d.conn.Next(ctx); ends <- err }()
	cancel()
	if err := <-ends; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go func() { _, err := d.conn.Next(context.Background()); ends <- err }()
	d.conn.Close()
	var over *End
	if err := <-ends; !errors.As(err, &over) {
		t.Errorf("got %v", err)
	}
	<-d.conn.Done()
	if err := d.conn.Receive(context.Background(), 0, frame(&wire.Ping{})); !errors.As(err, &over) {
		t.Errorf("got %v", err)
	}
}

// A reader that had no credit, or was not yet greeted, hears of news like any other, once it can take
// them.
func TestWhoWasDeafIsWoken(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	writer, reader := newDevice('A'), newDevice('B')
	join(t, h, writer)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reader.conn = h.Connect(0, Peer{})
	frames := make(chan []byte)
	go func() {
		defer close(frames)
		for {
			b, err := reader.conn.Next(ctx)
			if err != nil {
				return
			}
			frames <- b
		}
	}()
	take := func() {
		t.Helper()
		b, is := <-frames
		if !is {
			t.Fatalf("nothing came behind sequence %d", reader.seq)
		}
		if _, _, err := reader.take(b); err != nil {
			t.Fatal(err)
		}
	}
	seen := func() {
		t.Helper()
		if err := reader.conn.Receive(ctx, 0, frame(&wire.Seen{Seq: reader.seq})); err != nil {
			t.Fatal(err)
		}
	}
	push := func() {
		t.Helper()
		writer.write(10)
		pushAll(t, writer, writer.last())
		drain(t, writer)
	}
	time.Sleep(10 * time.Millisecond) // Next waits
	hello := reader.hello()
	hello.Credit = 1
	if err := reader.conn.Receive(ctx, 0, frame(hello)); err != nil {
		t.Fatal(err)
	}
	take()                            // the welcome
	time.Sleep(10 * time.Millisecond) // Next waits
	push()
	for range 20 {
		push()
		take()
		for !reader.conn.deaf.Load() { // the second one finds no credit
			time.Sleep(100 * time.Microsecond)
		}
		seen()
		take()
		seen()
		push() // this one wakes a reader that waits for news
	}
}

func TestRecentStaysWithinItsBounds(t *testing.T) {
	var r recent
	r.init(50_000)
	entry := func(seq uint64, size int) *span {
		return newSpan([]core.FeedEntry{{Seq: seq, Entry: make([]byte, size)}})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		r.put(entry(1+uint64(rnd.IntN(300)), rnd.IntN(30_000)))
		r.find(uint64(rnd.IntN(300)), 10_000)
		sum := 0
		for after, s := range r.spans {
			sum += s.weight()
			if s.after != after {
				t.Fatal("a span stands at the wrong place")
			}
		}
		if sum != r.bytes || len(r.spans) > recentSpans || (r.bytes > 50_000 && len(r.spans) > 1) {
			t.Fatalf("%d spans of %d bytes, counted %d", len(r.spans), sum, r.bytes)
		}
	}
}

// No frame of a device makes the hub panic, whatever it is and whenever it comes.
func FuzzReceive(f *testing.F) {
	d := newDevice('A')
	d.write(10)
	seeds := [][]byte{frame(d.hello()), frame(&wire.Push{Gen: 1, Batches: d.batches}), frame(&wire.Seen{Seq: 1}), frame(&wire.Ping{N: 1}),
		frame(&wire.Push{Gen: 2, Batches: [][]byte{{1, 2}}, Part: wire.Part{More: true}}), frame(&wire.Push{Gen: 2, Batches: [][]byte{{3}}, Part: wire.Part{Index: 1}})}
	for _, a := range seeds {
		for _, b := range seeds {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		h := NewHub(newFake(), Config{Database: "db"})
		c, ctx := h.Connect(0, Peer{}), context.Background()
		for i, frame := range [][]byte{a, seeds[0], seeds[1], b, a, b} {
			_ = c.Receive(ctx, uint64(i), append([]byte(nil), frame...))
			if _, err := c.Poll(ctx); err != nil && overIsFine(err) != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		if s := h.Stats(); s.Connections != 0 || s.Joining != 0 {
			t.Fatalf("left: %+v", s)
		}
	})
}

func ExampleHub() {
	h := NewHub(newFake(), Config{Database: "db"})
	ctx := context.Background()
	a, b := newDevice('A'), newDevice('B')
	for _, d := range []*device{a, b} {
		d.conn = h.Connect(0, Peer{Address: "memory"})
		_ = d.conn.Receive(ctx, 0, frame(d.hello()))
	}
	a.write(10)
	_ = a.push(ctx, 0, 1, 1, wire.FrameBudget)
	for _, d := range []*device{a, b} {
		lines, _ := d.drain(ctx)
		fmt.Println(strings.Join(lines, " | "))
	}
	// Output:
	// welcome resume behind 0, common 0, last 0, head 0 | accepted 1: 1 to 1
	// welcome resume behind 0, common 0, last 0, head 0 | changes 1: A:1
}
