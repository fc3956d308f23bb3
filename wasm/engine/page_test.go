package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge/clock"
	"vsync/wasm/port"
)

// patience is for what must happen at all.
const patience = 20 * time.Second

// places keeps stores in memory, also those that are closed.
type places struct {
	mu   sync.Mutex
	open map[string]*place
}

type place struct {
	store.Store
	used bool
	lost func(error)
}

func (p *place) Close() error {
	p.used = false
	return nil
}

func (p *places) Open(_ context.Context, name string, lost func(error)) (store.Store, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[string]*place{}
	}
	if p.open[name] == nil {
		p.open[name] = &place{Store: store.NewMemory()}
	}
	if p.open[name].used {
		return nil, "", store.ErrLocked
	}
	p.open[name].used, p.open[name].lost = true, lost
	return p.open[name], "memory", nil
}

func (p *places) Delete(_ context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.open[name]; at != nil && at.used {
		return store.ErrLocked
	}
	delete(p.open, name)
	return nil
}

func newEngine(t *testing.T, dial wire.Dialer) (*Engine, *places) {
	t.Helper()
	p := &places{}
	return New(Config{Storage: p, Dial: dial, Clock: clock.System{}, Rand: rand.Reader}), p
}

// tab is a page as a test sees it. What it is told is decoded by a library that knows nothing of package port.
type tab struct {
	t    *testing.T
	p    *Port
	next uint64

	mu     sync.Mutex
	frames [][]any
	news   chan struct{}
}

func (e *Engine) tab(t *testing.T) *tab {
	b := &tab{t: t, news: make(chan struct{}, 1)}
	b.p = e.Attach(func(frame []byte) {
		var fields []any
		dec := msgpack.NewDecoder(bytes.NewReader(frame))
		dec.UseLooseInterfaceDecoding(true)
		if err := dec.Decode(&fields); err != nil {
			t.Errorf("frame %x: %v", frame, err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.frames = append(b.frames, fields)
		select {
		case b.news <- struct{}{}:
		default:
		}
	})
	t.Cleanup(b.p.Gone)
	return b
}

// say sends a frame, and returns its number.
func (b *tab) say(kind int, fields ...any) uint64 {
	b.next++
	b.sayAs(b.next, kind, fields...)
	return b.next
}

func (b *tab) sayAs(n uint64, kind int, fields ...any) {
	var packet bytes.Buffer
	enc := msgpack.NewEncoder(&packet)
	enc.UseCompactInts(true)
	if err := enc.Encode(append([]any{kind, n}, fields...)); err != nil {
		b.t.Fatal(err)
	}
	b.p.Receive(packet.Bytes())
}

// hear returns the next frame that fits, and takes it out.
func (b *tab) hear(what string, fits func(kind int, n uint64, fields []any) bool) []any {
	b.t.Helper()
	late := time.After(patience)
	for {
		b.mu.Lock()
		for i, f := range b.frames {
			if fits(int(number(f[0])), number(f[1]), f[2:]) {
				b.frames = append(b.frames[:i:i], b.frames[i+1:]...)
				b.mu.Unlock()
				return f[2:]
			}
		}
		b.mu.Unlock()
		select {
		case <-b.news:
		case <-late:
			b.t.Fatalf("%s does not come; what came: %v", what, b.frames)
		}
	}
}

func number(v any) uint64 {
	switch v := v.(type) {
	case int64:
		return uint64(v)
	case uint64:
		return v
	}
	return math.MaxUint64
}

// answer waits for the OK of a request.
func (b *tab) answer(n uint64) []any {
	b.t.Helper()
	failed := ""
	fields := b.hear(fmt.Sprint("the answer to ", n), func(kind int, m uint64, fields []any) bool {
		if m == n && kind == port.Fail {
			failed = fmt.Sprint(fields)
		}
		return m == n && (kind == port.OK || kind == port.Fail || kind == port.End)
	})
	if failed != "" {
		b.t.Fatalf("request %d failed: %s", n, failed)
	}
	return fields
}

// refused waits for the FAIL of a request, and returns its message.
func (b *tab) refused(n uint64, code string) string {
	b.t.Helper()
	fields := b.hear(fmt.Sprint("the failure of ", n), func(kind int, m uint64, _ []any) bool {
		return m == n && (kind == port.Fail || kind == port.OK || kind == port.End)
	})
	if len(fields) != 2 || fields[0] != code {
		b.t.Fatalf("expected %s, got %v", code, fields)
	}
	return fields[1].(string)
}

// items waits for the next ITEMS of a stream, and asks for more.
func (b *tab) items(n uint64) []any {
	b.t.Helper()
	fields := b.hear(fmt.Sprint("an item of ", n), func(kind int, m uint64, fields []any) bool {
		if m == n && kind == port.Fail {
			b.t.Fatalf("stream %d failed: %v", n, fields)
		}
		return m == n && kind == port.Items
	})
	b.sayAs(n, port.More, 1)
	return fields
}

func (b *tab) hello(name string, more ...any) string {
	b.t.Helper()
	return b.answer(b.say(port.Hello, port.Protocol, helloOf(name, more...)))[0].(string)
}

func helloOf(name string, more ...any) map[string]any {
	o := map[string]any{"name": name, "feed": "", "durability": "relaxed", "token": false, "agent": "test"}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// value is the canonical msgpack of a number.
func value(i int) []byte {
	b, _ := msgpack.Marshal(int64(i))
	var out bytes.Buffer
	enc := msgpack.NewEncoder(&out)
	enc.UseCompactInts(true)
	if err := enc.Encode(i); err != nil {
		return b
	}
	return out.Bytes()
}

func op(id string, v int) []any { return []any{0, id, value(v), nil} }

func (b *tab) write(ops ...any) uint64 {
	return b.say(port.Write, []string{"docs"}, ops, []any{}, "")
}

func (b *tab) put(id string, v int) string {
	b.t.Helper()
	return b.answer(b.write(op(id, v)))[0].(string)
}

func query(prefix, from, to string, reverse bool, limit int) []any {
	return []any{"docs", prefix, from, to, reverse, limit}
}

// ids are those of ROWS.
func ids(rows any) (out []string) {
	for _, row := range rows.([]any) {
		out = append(out, row.([]any)[0].(string))
	}
	return out
}

func texts(list any) (out []string) {
	for _, x := range list.([]any) {
		out = append(out, x.(string))
	}
	return out
}
