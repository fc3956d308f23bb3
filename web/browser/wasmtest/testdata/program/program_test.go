//go:build js

// Package program is what wasmtest's own tests run in a browser: each test does one thing that a runner has to get right, failing included.
package program

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall/js"
	"testing"
	"time"
)

func TestPasses(t *testing.T) {
	fmt.Println("on stdout")
	fmt.Fprintln(os.Stderr, "on stderr, and no text: \xff\x00é")
}

func TestFails(t *testing.T)  { t.Error("it fails") }
func TestPanics(t *testing.T) { panic("it panics") }
func TestExits(t *testing.T)  { os.Exit(7) }
func TestWaits(t *testing.T)  { select {} }

// TestBusy never returns to the event loop, so that no timer of Go's comes either.
func TestBusy(t *testing.T) {
	fmt.Println("busy")
	for {
	}
}

func TestArguments(t *testing.T) {
	fmt.Println(os.Args[1:], os.Getenv("VSYNC_TEST"), os.Getenv("HOME") == "")
}

func TestWorker(t *testing.T) {
	fmt.Println(js.Global().Get("constructor").Get("name").String())
}

func TestFiles(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil || filepath.Base(dir) != "program" {
		t.Fatal(dir, err)
	}
	content, err := os.ReadFile("../file.txt")
	if err != nil || string(content) != "milk\n" {
		t.Errorf("a file: %q, %v", content, err)
	}
	entries, err := os.ReadDir("..")
	if err != nil || len(entries) != 2 || entries[0].Name() != "file.txt" || entries[0].IsDir() || !entries[1].IsDir() {
		t.Errorf("a directory: %v, %v", entries, err)
	}
	f, err := os.Open("../file.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	two := make([]byte, 2)
	for _, want := range []string{"mi", "lk"} {
		if _, err := io.ReadFull(f, two); err != nil || string(two) != want {
			t.Errorf("a part: %q, %v", two, err)
		}
	}
	if _, err := f.ReadAt(two, 1); err != nil || string(two) != "il" {
		t.Errorf("a part in the middle: %q, %v", two, err)
	}
	for path, want := range map[string]error{
		"nothing.txt": fs.ErrNotExist, "/etc/passwd": fs.ErrNotExist, "../../../../../../etc/passwd": fs.ErrNotExist,
	} {
		if _, err := os.ReadFile(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if err := os.WriteFile("../new.txt", nil, 0o644); err == nil {
		t.Error("a file could be written")
	}
}

func TestFetches(t *testing.T) {
	answer := await(js.Global().Call("fetch", "/peer/7"))
	fmt.Println(await(answer.Call("text")).String())
}

// TestSpawns runs TestPasses in a second worker and hears all of it.
func TestSpawns(t *testing.T) {
	worker := js.Global().Get("vsyncTest").Call("spawn", []any{"-test.run=^TestExits$"})
	code := make(chan int, 1)
	onmessage := js.FuncOf(func(_ js.Value, args []js.Value) any {
		if value := args[0].Get("data").Get("code"); value.Truthy() {
			code <- value.Int()
		}
		return nil
	})
	defer onmessage.Release()
	worker.Set("onmessage", onmessage)
	if got := <-code; got != 7 {
		t.Errorf("it ended with %d", got)
	}
}

func TestSpeaksInTime(t *testing.T) {
	fmt.Println("early")
	time.Sleep(2 * time.Second)
	fmt.Println("late")
}

func await(promise js.Value) js.Value {
	done := make(chan js.Value, 1)
	then := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- args[0]
		return nil
	})
	defer then.Release()
	promise.Call("then", then)
	return <-done
}
