//go:build js

package idb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"vsync/core/store"
	"vsync/wasm/idb"
)

// The test program is its own second one, in another worker or another browser: with childEnv set to "part:name" it plays a part on
// the database of that name.
const childEnv = "VSYNC_IDB_CHILD"

func TestMain(m *testing.M) {
	part, name, is := strings.Cut(os.Getenv(childEnv), ":")
	if !is {
		os.Exit(m.Run())
	}
	s, err := idb.Open(ctx, name, nil)
	if err == nil {
		err = parts[part](s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var parts = map[string]func(s *idb.Store) error{
	// hold has the database open until it is ended.
	"hold": func(*idb.Store) error {
		fmt.Println("open")
		select {}
	},
	// leave ends without closing it; its worker goes on.
	"leave": func(*idb.Store) error {
		fmt.Println("open")
		os.Exit(0)
		return nil
	},
	// write commits for ever, and says so after each commit: its number on a line.
	"write": func(s *idb.Store) error {
		last, _, err := s.Get(ctx, []byte("last"))
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(last))
		for n++; ; n++ {
			if err := s.Commit(ctx, numbered(n)); err != nil {
				return err
			}
			fmt.Println(n)
		}
	},
	// check says how many commits are there.
	"check": func(s *idb.Store) error {
		n, err := checkNumbered(s)
		fmt.Println(n)
		return err
	},
	"clear": clearBelow,
}

// numbered is the n-th commit: a counter, a small and a large row that name it, and the removal of its forerunner's large row. One in
// five is strict.
func numbered(n int) *store.Tx {
	tx := &store.Tx{}
	if n%5 == 0 {
		tx.Durability = store.Strict
	}
	tx.Put([]byte("last"), strconv.AppendInt(nil, int64(n), 10))
	tx.Put(fmt.Appendf(nil, "small%08d", n), fmt.Append(nil, n))
	tx.DeleteRange([]byte("large"), []byte("largf"))
	tx.Put(fmt.Appendf(nil, "large%08d", n), bytes.Repeat(fmt.Appendf(nil, "%08d", n), store.MaxRow/8))
	return tx
}

// checkNumbered checks that exactly the commits 1 … n are there, whole, and returns n.
func checkNumbered(s store.Store) (int, error) {
	last, _, err := s.Get(ctx, []byte("last"))
	if err != nil {
		return 0, err
	}
	n, _ := strconv.Atoi(string(last))
	small, err := s.Scan(ctx, store.Prefix([]byte("small")))
	if err != nil || len(small) != n {
		return n, fmt.Errorf("%d small rows after %d commits, %w", len(small), n, err)
	}
	for i, row := range small {
		if string(row.Key) != fmt.Sprintf("small%08d", i+1) || string(row.Value) != fmt.Sprint(i+1) {
			return n, fmt.Errorf("small row %d is %q: %q", i+1, row.Key, row.Value)
		}
	}
	large, err := s.Scan(ctx, store.Prefix([]byte("large")))
	if err != nil || n > 0 && len(large) != 1 {
		return n, fmt.Errorf("%d large rows after %d commits, %w", len(large), n, err)
	}
	for _, row := range large {
		if string(row.Key) != fmt.Sprintf("large%08d", n) || !bytes.Equal(row.Value, bytes.Repeat(fmt.Appendf(nil, "%08d", n), store.MaxRow/8)) {
			return n, fmt.Errorf("the large row after %d commits is %q", n, row.Key)
		}
	}
	return n, nil
}

// clearBelow clears the site's data, through the runner, while commits are under way: each ends, as applied or as lost, and all later
// calls are ErrLost.
func clearBelow(first *idb.Store) error {
	if err := first.Close(); err != nil {
		return err
	}
	lost := make(chan struct{}, 2)
	p := place{"cleared"}
	s, err := idb.Open(ctx, p.name, func(error) { lost <- struct{}{} })
	if err != nil {
		return err
	}
	if err := s.Commit(ctx, put("a", "1")); err != nil {
		return err
	}
	ended := make(chan error)
	const writers = 3
	for range writers {
		go func() {
			for {
				if err := s.Commit(ctx, put("b", "1")); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	js.Global().Call("fetch", "/browser/clear", map[string]any{"method": "POST"})
	for range writers {
		if err := <-ended; !errors.Is(err, store.ErrLost) {
			return fmt.Errorf("a writer has ended with %w, want ErrLost", err)
		}
	}
	return checkLost(p, s, lost)
}

// checkLost says what is wrong with a store whose storage was taken away. Every call has to fail with ErrLost, lost has to have been called
// once, and it has to be possible to open the place again.
func checkLost(p place, s *idb.Store, lost <-chan struct{}) error {
	select {
	case <-lost:
	case <-time.After(time.Minute):
		return errors.New("nobody was told that the storage is gone")
	}
	for name, call := range map[string]func() error{
		"get":    func() error { _, _, err := s.Get(ctx, []byte("a")); return err },
		"scan":   func() error { _, err := s.Scan(ctx, store.Range{}); return err },
		"commit": func() error { return s.Commit(ctx, put("a", "1")) },
	} {
		if err := call(); !errors.Is(err, store.ErrLost) {
			return fmt.Errorf("%s: %w, want ErrLost", name, err)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := s.Commit(ctx, put("a", "1")); !errors.Is(err, store.ErrClosed) {
		return fmt.Errorf("commit after the close: %w, want ErrClosed", err)
	}
	if len(lost) > 0 {
		return errors.New("lost was called twice")
	}
	again, err := idb.Open(ctx, p.name, nil)
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	defer again.Close()
	if err := again.Commit(ctx, put("a", "2")); err != nil {
		return fmt.Errorf("commit after opening again: %w", err)
	}
	if value, _, err := again.Get(ctx, []byte("a")); err != nil || string(value) != "2" {
		return fmt.Errorf("after opening again: %q, %w", value, err)
	}
	return nil
}

// child is a program in a worker of its own.
type child struct {
	worker js.Value
	lines  chan string // what it prints; closed at its end
}

// begin starts a child in its part.
func beginChild(t *testing.T, part, name string) *child {
	t.Helper()
	c := &child{lines: make(chan string, 1000)}
	c.worker = js.Global().Get("vsyncTest").Call("spawn", []any{}, map[string]any{childEnv: part + ":" + name})
	var text strings.Builder
	onmessage := js.FuncOf(func(_ js.Value, args []js.Value) any {
		data := args[0].Get("data")
		if piece := data.Get("bytes"); !piece.IsUndefined() {
			b := make([]byte, piece.Length())
			js.CopyBytesToGo(b, piece)
			text.Write(b)
			lines := strings.Split(text.String(), "\n")
			for _, line := range lines[:len(lines)-1] {
				c.lines <- line
			}
			text.Reset()
			text.WriteString(lines[len(lines)-1])
			return nil
		}
		close(c.lines)
		return nil
	})
	c.worker.Set("onmessage", onmessage)
	t.Cleanup(func() {
		c.kill()
		onmessage.Release()
	})
	return c
}

func (c *child) kill() { c.worker.Call("terminate") }

// says returns the next line.
func (c *child) says(t *testing.T) string {
	t.Helper()
	select {
	case line, more := <-c.lines:
		if !more {
			t.Fatal("the child has ended")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("the child says nothing")
		return ""
	}
}

func eval(script string) js.Value { return js.Global().Call("eval", script) }

// replace sets a property of an object of the worker for the time of the test.
func replace(t testing.TB, object, name, with string) {
	t.Helper()
	eval(fmt.Sprintf(`{
		const object = %s, had = Object.getOwnPropertyDescriptor(object, "%s");
		globalThis.undo ??= [];
		undo.push(() => had ? Object.defineProperty(object, "%[2]s", had) : delete object["%[2]s"]);
		const before = object["%[2]s"];
		Object.defineProperty(object, "%[2]s", { configurable: true, writable: true, value: %s });
	}`, object, name, with))
	t.Cleanup(func() { eval("undo.pop()()") })
}

// await waits for a promise; a rejection is an error with its text.
func await(t testing.TB, script string) js.Value {
	t.Helper()
	type outcome struct {
		value js.Value
		bad   bool
	}
	ended := make(chan outcome, 1)
	hear := func(bad bool) js.Func {
		return js.FuncOf(func(_ js.Value, args []js.Value) any {
			ended <- outcome{args[0], bad}
			return nil
		})
	}
	good, bad := hear(false), hear(true)
	defer good.Release()
	defer bad.Release()
	eval("(async () => ("+script+"))()").Call("then", good, bad)
	got := <-ended
	if got.bad {
		t.Fatalf("%s: %s", script, js.Global().Get("String").Invoke(got.value))
	}
	return got.value
}

func within(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}
