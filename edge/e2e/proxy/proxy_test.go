package proxy

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that has to happen.
const patience = 10 * time.Second

// echo is a server that sends back what it gets, until the end of it.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func listen(t *testing.T, target string, script Script) *Proxy {
	t.Helper()
	p, err := Listen(target, script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// only is a script of one direction's faults, for every connection.
func only(d Direction, faults ...Fault) Script {
	return func(_ int, of Direction) iter.Seq[Fault] {
		if of != d {
			return slices.Values([]Fault(nil))
		}
		return slices.Values(faults)
	}
}

func wantError(t *testing.T, err error, timeout bool) {
	t.Helper()
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) != timeout {
		t.Fatalf("got %v", err)
	}
}

func TestPassesOn(t *testing.T) {
	p := listen(t, echo(t), nil)
	conn := dial(t, p)
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		conn.Write(sent)
		conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	if s := p.Stats(); s.Connections != 1 || s.Up != 1_000_000 || s.Down != 1_000_000 || s.Cuts() != 0 {
		t.Errorf("%+v", s)
	}
}

// Up to the fault everything passes, and nothing behind it.
func TestFinish(t *testing.T) {
	for _, d := range []Direction{Up, Down} {
		p := listen(t, echo(t), only(d, Fault{At: 777, Kind: Finish}))
		conn := dial(t, p)
		conn.Write(make([]byte, 500))
		if _, err := io.ReadFull(conn, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		conn.Write(make([]byte, 500))
		rest, err := io.ReadAll(conn)
		if err != nil || d == Down && len(rest) != 277 {
			t.Errorf("%v: %d bytes and %v", d, len(rest), err)
		}
		conn.Close()
		p.Close()
		s := p.Stats()
		if at := [...]int64{s.Up, s.Down}[d]; at != 777 || s.Faults[Finish] != 1 {
			t.Errorf("%v: %+v", d, s)
		}
	}
}

func TestReset(t *testing.T) {
	for _, d := range []Direction{Up, Down} {
		p := listen(t, echo(t), only(d, Fault{At: 777, Kind: Reset}))
		conn := dial(t, p)
		conn.Write(make([]byte, 5000))
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v: %v", d, err)
		}
		p.Close()
		if s := p.Stats(); [...]int64{s.Up, s.Down}[d] != 777 || s.Cuts() != 1 {
			t.Errorf("%v: %+v", d, s)
		}
	}
}

func TestDelay(t *testing.T) {
	p := listen(t, echo(t), only(Up, Fault{At: 0, Kind: Delay, Time: 30 * time.Millisecond}, Fault{At: 5, Kind: Delay, Time: 30 * time.Millisecond}))
	conn, from := dial(t, p), time.Now()
	conn.Write([]byte("0123456789"))
	got := make([]byte, 10)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "0123456789" {
		t.Fatalf("got %q, %v", got, err)
	}
	if took := time.Since(from); took < 60*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// A stalled direction is read no more, so that its sender gets stuck; the other one goes on.
func TestStallUntilHealed(t *testing.T) {
	p := listen(t, echo(t), only(Up, Fault{At: 50, Kind: Stall, Time: time.Hour}, Fault{At: 60, Kind: Reset}))
	conn := dial(t, p)
	conn.Write(make([]byte, 100))
	if _, err := io.ReadFull(conn, make([]byte, 50)); err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	wantError(t, err, true)
	conn.SetDeadline(time.Now().Add(patience))
	p.Heal()
	p.Heal()
	if _, err := io.ReadFull(conn, make([]byte, 50)); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.Faults[Stall] != 1 || s.Cuts() != 0 || s.Up != 100 {
		t.Errorf("%+v", s)
	}
}

func TestStalledSenderGetsStuck(t *testing.T) {
	p := listen(t, echo(t), only(Up, Fault{At: 0, Kind: Stall, Time: time.Hour}))
	conn := dial(t, p)
	conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := conn.Write(make([]byte, 64<<20))
	wantError(t, err, true)
	if n == 64<<20 || p.Stats().Up != 0 {
		t.Errorf("%d bytes were taken, %+v", n, p.Stats())
	}
	p.Close() // does not wait for the hour
}

func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	p := listen(t, listener.Addr().String(), nil)
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil { // else the reset came while it was still being opened
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	p.Close()
	if s := p.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTurn(t *testing.T) {
	p := listen(t, "127.0.0.1:1", nil) // nobody is there
	for range 2 {
		p.Turn(echo(t))
		conn := dial(t, p)
		conn.Write([]byte{1})
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		p.Turn("127.0.0.1:1")
		_, err := io.ReadFull(conn, make([]byte, 1))
		wantError(t, err, false)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	p := listen(t, echo(t), nil)
	conn := dial(t, p)
	conn.Write([]byte{1})
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.Close()
	_, err := conn.Read(make([]byte, 1))
	wantError(t, err, false)
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		conn.Close()
		t.Error("a closed proxy takes connections")
	}
}

func TestPlan(t *testing.T) {
	plan := Plan{Seed: 7, Gap: 10_000, Delays: 3, Stalls: 2, Cuts: 1, MaxDelay: time.Millisecond, MaxStall: time.Second}
	var all []Fault
	var lives [][]Fault
	for n := range 500 {
		for _, d := range []Direction{Up, Down} {
			faults := slices.Collect(plan.Script()(n, d))
			if again := slices.Collect(plan.Script()(n, d)); !reflect.DeepEqual(faults, again) {
				t.Fatalf("connection %d %v: %v, then %v", n, d, faults, again)
			}
			all, lives = append(all, faults...), append(lives, faults)
		}
	}
	var of [Finish + 1]int
	for _, f := range all {
		of[f.Kind]++
		if f.Kind == Delay && f.Time > plan.MaxDelay || f.Kind == Stall && f.Time > plan.MaxStall {
			t.Errorf("%+v is too long", f)
		}
	}
	if of[Reset]+of[Finish] != len(lives) || of[Reset] < 400 || of[Finish] < 400 || of[Delay] < 2500 || of[Stall] < 1700 {
		t.Errorf("of the kinds %v", of)
	}
	if mean := mean(lives); mean < 50_000 || mean > 60_000 { // six gaps, one in eight of them a seventh as long
		t.Errorf("a connection lives %d bytes", mean)
	}
	if reflect.DeepEqual(lives[0], lives[1]) || reflect.DeepEqual(lives[0], lives[2]) {
		t.Error("connections or directions fare alike")
	}
	plan.Seed++
	if reflect.DeepEqual(slices.Collect(plan.Script()(0, Up)), lives[0]) {
		t.Error("another seed draws the same")
	}
}

// mean is the mean place of the last fault.
func mean(lives [][]Fault) (sum int64) {
	for _, faults := range lives {
		sum += faults[len(faults)-1].At
	}
	return sum / int64(len(lives))
}

func TestWords(t *testing.T) {
	if got := [...]string{Up.String(), Down.String(), Delay.String(), Stall.String(), Reset.String(), Finish.String()}; got != [...]string{"up", "down", "delay", "stall", "reset", "finish"} {
		t.Errorf("got %q", got)
	}
}
