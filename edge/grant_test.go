package edge

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/wire"
)

// granting is a hub whose tokens are subjects, with "-" before who may only read; all expire at 1,000,000.
func granting(r Replica, cfg Config) *Hub {
	cfg.Database = "db"
	cfg.Auth = func(_ context.Context, token string) (Grant, error) {
		subject, reads := strings.CutPrefix(token, "-")
		return Grant{Subject: subject, ReadOnly: reads, Expires: 1_000_000}, nil
	}
	return NewHub(r, cfg)
}

// greet connects with a token and returns the first answer.
func (d *device) greet(t testing.TB, h *Hub, token string) wire.Message {
	t.Helper()
	d.conn = h.Connect(0, Peer{})
	d.join.Reset()
	hello := d.hello()
	hello.Token = token
	_ = d.conn.Receive(context.Background(), 0, frame(hello))
	return d.lastWord(t)
}

// lastWord returns the last message that the hub has for the device now.
func (d *device) lastWord(t testing.TB) (last wire.Message) {
	t.Helper()
	for {
		f, err := d.conn.Poll(context.Background())
		if f == nil || err != nil {
			return last
		}
		if last, err = wire.DecodeDown(f); err != nil {
			t.Fatal(err)
		}
	}
}

func refusedWith(t testing.TB, m wire.Message, code wire.Code) *wire.Error {
	t.Helper()
	e, is := m.(*wire.Error)
	if !is || e.Code != code {
		t.Fatalf("expected an error %s, got %#v", code, m)
	}
	return e
}

// Who may only read gets the feed. What he pushes is refused by its generation, what he hands back is passed by.
func TestReadOnly(t *testing.T) {
	ctx, f := context.Background(), newFake()
	h := granting(f, Config{})
	writer, reader := newDevice('A'), newDevice('B')
	writer.greet(t, h, "anna")
	writer.write(20)
	pushAll(t, writer, 1)
	if _, is := reader.greet(t, h, "-bert").(*wire.Changes); !is {
		t.Fatal("the feed did not come")
	}
	reader.write(20)
	_ = reader.push(ctx, 0, 1, 1, wire.FrameBudget)
	if e := refusedWith(t, reader.lastWord(t), wire.CodeForbidden); e.Gen != 1 {
		t.Errorf("%+v", e)
	}
	lost := f.feed[0].Entry
	other := newFake()
	h = granting(other, Config{})
	reader = newDevice('B')
	reader.conn = h.Connect(0, Peer{})
	hello := reader.hello()
	hello.Token = "-bert"
	hello.Marker = f.Head()
	hello.Trail = append(hello.Trail, change.Place{})
	if err := reader.conn.Receive(ctx, 0, frame(hello)); err != nil {
		t.Fatal(err)
	}
	if w, is := reader.lastWord(t).(*wire.Welcome); !is || w.Mode != wire.ModeReplay {
		t.Fatal("expected replay")
	}
	if err := reader.conn.Receive(ctx, 0, frame(&wire.Handback{Seq: 1, Entries: [][]byte{lost}})); err != nil {
		t.Fatal(err)
	}
	if m, is := reader.lastWord(t).(*wire.Handed); !is || m.Taken != 0 || m.Seq != 1 || m.Head.Seq != 0 {
		t.Errorf("%#v", m)
	}
	if n := len(f.feed) + len(other.feed); n != 1 {
		t.Errorf("the feeds have %d entries", n)
	}
}

// A connection ends with its token: when somebody looks, and at the latest when something comes. A sleep does not prolong it.
func TestExpired(t *testing.T) {
	for name, meet := range map[string]func(*Conn){
		"a tick": func(c *Conn) { c.Tick(1_000_000) },
		"a push": func(c *Conn) {
			_ = c.Receive(context.Background(), 1_000_000, frame(&wire.Push{Gen: 1, Batches: [][]byte{{1}}}))
		},
		"a ping": func(c *Conn) { _ = c.Receive(context.Background(), 1_000_000, frame(&wire.Ping{N: 1})) },
	} {
		for _, slept := range []bool{false, true} {
			f := newFake()
			h := granting(f, Config{})
			d := newDevice('A')
			d.greet(t, h, "anna")
			d.conn.Receive(context.Background(), 999_999, frame(&wire.Ping{N: 1}))
			if _, is := d.lastWord(t).(*wire.Pong); !is {
				t.Fatal("it ended too early")
			}
			if slept {
				c, err := granting(f, Config{}).Thaw(999_999, Peer{}, d.conn.Freeze())
				if err != nil {
					t.Fatal(err)
				}
				d.conn = c
			}
			meet(d.conn)
			if m := d.lastWord(t); len(f.feed) > 0 {
				t.Errorf("%s: it was taken", name)
			} else {
				refusedWith(t, m, wire.CodeUnauthenticated)
			}
		}
	}
}

// A subject has so many connections and no more, whoever else comes; one that ends makes room, and a device that comes again needs none.
func TestConnectionsOfASubject(t *testing.T) {
	h := granting(newFake(), Config{Subject: 3})
	welcomed := func(d *device, token string) {
		t.Helper()
		if m, is := d.greet(t, h, token).(*wire.Welcome); !is {
			t.Fatalf("%#v", m)
		}
	}
	devices := make([]*device, 4)
	for i := range devices {
		devices[i] = newDevice(byte(i + 1))
	}
	for _, d := range devices[:3] {
		welcomed(d, "anna")
	}
	if e := refusedWith(t, devices[3].greet(t, h, "anna"), wire.CodeRateLimited); e.Retry == 0 {
		t.Error("it does not say when to come back")
	}
	welcomed(devices[0], "anna") // again
	welcomed(newDevice(9), "bert")
	refusedWith(t, devices[3].greet(t, h, "anna"), wire.CodeRateLimited)
	devices[1].conn.Close()
	welcomed(devices[3], "anna")
	h.Close()
	if len(h.subjects) != 0 {
		t.Errorf("left over: %v", h.subjects)
	}
}

// A subject that sends too much is told when to come back, and then may; others do not notice.
func TestWorkOfASubject(t *testing.T) {
	h := granting(newFake(), Config{Work: 50_000})
	greedy, modest := newDevice('A'), newDevice('B')
	greedy.greet(t, h, "anna")
	modest.greet(t, h, "bert")
	var wait uint64
	for n := 0; wait == 0; n++ {
		if n > 10_000 {
			t.Fatal("there is no end to it")
		}
		if greedy.conn.Receive(context.Background(), 0, frame(&wire.Ping{N: 1})) != nil {
			wait = refusedWith(t, greedy.lastWord(t), wire.CodeRateLimited).Retry
		}
		greedy.lastWord(t)
	}
	if m := greedy.greet(t, h, "anna"); wait > 10_000 {
		t.Errorf("%d ms", wait)
	} else {
		refusedWith(t, m, wire.CodeRateLimited)
	}
	if err := modest.conn.Receive(context.Background(), 0, frame(&wire.Ping{N: 1})); err != nil {
		t.Error(err)
	}
	if retry := h.Charge("anna", wait, 1); retry != 0 {
		t.Errorf("as was asked, it came after %d ms, and is to wait %d more", wait, retry)
	}
	if s := fmt.Sprint(NewHub(newFake(), Config{Database: "db"}).Charge("", 0, 1<<40)); s != "0" {
		t.Error("a hub that asks for no token counts")
	}
}

// A new token holds from when it comes: longer, with other rights, and for the same subject alone.
func TestRenew(t *testing.T) {
	ctx := context.Background()
	cfg := Config{Database: "db", Auth: func(_ context.Context, token string) (Grant, error) {
		var g Grant
		var rights string
		if n, err := fmt.Sscanf(token, "%s %s %d", &g.Subject, &rights, &g.Expires); n != 3 {
			return g, err
		}
		g.ReadOnly = rights == "read"
		return g, nil
	}}
	for name, c := range map[string]struct {
		token string
		code  wire.Code // empty: it is taken
	}{
		"longer": {"anna write 2000", ""}, "to read": {"anna read 2000", ""}, "another's": {"bert write 2000", wire.CodeForbidden},
		"old": {"anna write 900", wire.CodeUnauthenticated}, "none": {"anna", wire.CodeUnauthenticated},
	} {
		f := newFake()
		h := NewHub(f, cfg)
		d := newDevice('A')
		if w, is := d.greet(t, h, "anna write 1000").(*wire.Welcome); !is || w.Expires != 1000 {
			t.Fatalf("%#v", w)
		}
		_ = d.conn.Receive(ctx, 950, frame(&wire.Token{Token: c.token}))
		m := d.lastWord(t)
		if c.code != "" {
			refusedWith(t, m, c.code)
			continue
		}
		if p, is := m.(*wire.Pong); !is || p.Expires != 2000 || p.Now != 950 {
			t.Fatalf("%s: %#v", name, m)
		}
		other := newDevice('B')
		if other.greet(t, h, "bert write 3000"); h.Expires() != 2000 {
			t.Errorf("%s: the next grant ends at %d", name, h.Expires())
		}
		d.conn.Tick(1500)
		d.write(20)
		_ = d.push(ctx, 1500, 1, 1, wire.FrameBudget)
		if _, taken := d.lastWord(t).(*wire.Accepted); taken != (name == "longer") || taken != (len(f.feed) == 1) {
			t.Errorf("%s: taken %v", name, taken)
		}
		d.conn.Tick(2000)
		if d.conn.ended() == nil {
			t.Errorf("%s: it lives on", name)
		}
		if h.Expires() != 3000 {
			t.Errorf("%s: then the next grant ends at %d", name, h.Expires())
		}
	}
}
