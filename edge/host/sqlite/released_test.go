package sqlite

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vsync/core/store"
)

// Files of every format that was ever stored are in testdata, for ever. Each holds the rows of the file of the same name in
// core/testdata, whose meaning is tried there.
var storeFormat = flag.Bool("store-format", false, "write testdata/*.sqlite of this program's format, if they are not there")

const rowsOfFormats = "../../../core/testdata"

// TestStoredFormats opens what programs of every format have stored, and writes to it.
func TestStoredFormats(t *testing.T) {
	hubs, err := filepath.Glob(filepath.Join(rowsOfFormats, "*-hub.rows"))
	if err != nil || len(hubs) < 2 {
		t.Fatal("the hubs' rows of all formats are not there", hubs, err)
	}
	for _, hub := range hubs {
		name := strings.TrimSuffix(filepath.Base(hub), ".rows")
		if *storeFormat {
			writeFormat(t, name)
		}
		stored, err := os.ReadFile(filepath.Join("testdata", name+".sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, stored, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(ctx, path, Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		defer s.Close()
		if got, want := rowsOf(t, s), textOf(t, name); got != want {
			t.Errorf("%s: %d bytes of rows, want %d", name, len(got), len(want))
		}
		var tx store.Tx
		tx.Put([]byte("later"), []byte("by this program"))
		if err := s.Commit(ctx, &tx); err != nil {
			t.Error(name, err)
		}
	}
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rowsOfFormats, name+".rows"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rowsOf is what a store holds, as the files in core/testdata have it.
func rowsOf(t *testing.T, s *Store) string {
	t.Helper()
	var text strings.Builder
	err := store.Each(ctx, s, store.Range{}, func(r store.Row) error {
		fmt.Fprintf(&text, "%x %x\n", r.Key, r.Value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// writeFormat writes a file of testdata that is not there yet.
func writeFormat(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", name+".sqlite")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	s, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(textOf(t, name)) {
		var key, value []byte
		if n, err := fmt.Sscanf(line, "%x %x", &key, &value); n < 1 {
			t.Fatal(err)
		}
		var tx store.Tx
		tx.Put(key, value)
		if err := s.Commit(ctx, &tx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
