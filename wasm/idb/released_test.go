//go:build js

package idb_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
)

// TestStoredFormat: the rows of a device, as an engine of an earlier format has stored them and core/testdata keeps them, stand in
// IndexedDB as an earlier program has put them there. Opened, it holds what it held, and goes on.
func TestStoredFormat(t *testing.T) {
	files, err := filepath.Glob("../../core/testdata/*-device.rows")
	if err != nil || len(files) < 2 {
		t.Fatal("the devices' rows of all formats are not there", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { opensFormat(t, file) })
	}
}

func opensFormat(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	var rows []string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := hex.DecodeString(key + value); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("[%q,%q]", key, value))
	}
	await(t, fmt.Sprintf(`new Promise((done, failed) => {
		const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
		const open = indexedDB.open(%q, 1);
		open.onupgradeneeded = () => open.result.createObjectStore("rows");
		open.onsuccess = () => {
			const tx = open.result.transaction("rows", "readwrite");
			for (const [key, value] of [%s]) tx.objectStore("rows").put(bytes(value), bytes(key));
			tx.oncomplete = () => { open.result.close(); done(); };
			tx.onabort = () => failed(tx.error);
		};
	})`, "vsync:"+p.name, strings.Join(rows, ",")))
	for i := range 2 {
		s, err := p.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r, err := core.Open(ctx, s, core.Config{Database: "test", Rand: rand.Reader, Feed: true, Now: func() uint64 { return uint64(time.Now().UnixMilli()) }})
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]any{"n07": int64(7), "text": "second", "tail": "behind the checkpoint", "unsent": "only here", "large": strings.Repeat("long ", 13_000)} {
			e, is, err := r.Get(ctx, change.Key{Collection: "c", ID: id})
			if got, _ := change.DecodeValue(e.Value); err != nil || !is || got != want {
				t.Errorf("opening %d: %s is %.40v, %v, %v", i, id, got, is, err)
			}
		}
		if rep, err := r.Check(ctx); err != nil || !rep.OK {
			t.Errorf("opening %d: %v, %v", i, rep.Findings, err)
		}
		v, err := change.Encode(i)
		if err == nil {
			_, err = r.Put(ctx, change.Key{Collection: "c", ID: "later"}, v)
		}
		if err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
