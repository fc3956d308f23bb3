package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vsync/core/store"
	"vsync/edge/host/sqlite"
)

// harm damages the first row of a kind, or the last, in the file of a database.
func (s *shell) harm(file string, kind byte, last bool) {
	s.t.Helper()
	st, err := sqlite.Open(s.t.Context(), filepath.Join(s.dir, file), sqlite.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.Scan(s.t.Context(), store.Range{From: []byte{kind}, To: []byte{kind + 1}, Limit: 1, Reverse: last})
	if err != nil || len(rows) == 0 {
		s.t.Fatalf("no row %c, %v", kind, err)
	}
	if _, err := store.Damage(s.t.Context(), st, rows[0].Key, store.Fault{Do: store.FlipBit, Bit: len(rows[0].Value)*8 - 1}); err != nil {
		s.t.Fatal(err)
	}
}

func TestCheckAndRepair(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	s.in = "[" + strings.Repeat(`"some value that takes its room",`, 2000) + "0]"
	s.ok("import", "--data", "a", "--feed", hub.Feed, "c", "-")
	s.ok("put", "--data", "a", "c", "x", "1")
	hub.end(syscall.SIGTERM)
	for _, args := range [][]string{{"--data", "a"}, {"--data", "hub", "--hub"}} {
		if out := s.ok(append([]string{"check"}, args...)...); !strings.HasPrefix(out, "ok: 2,002 objects") {
			t.Errorf("check: %s", out)
		}
	}
	for file, args := range map[string][]string{
		"a/replicas/main.db": {"check", "--data", "a"}, "hub/databases/main.db": {"check", "--data", "hub", "--hub"},
	} {
		for _, kind := range []byte{'P', 'S'} {
			s.harm(file, kind, false)
			if out := s.ok(append(args, "--repair")...); !strings.Contains(out, "ok: 2,002 objects") || !strings.Contains(out, "checksum") && !strings.Contains(out, "damaged") {
				t.Errorf("%c of %s: %s", kind, file, out)
			}
			if out := s.ok(args...); !strings.Contains(out, "in quarantine: ") {
				t.Errorf("%c of %s, again: %s", kind, file, out)
			}
		}
	}
	s.harm("a/replicas/main.db", 'L', false)
	r := s.fails(exitCorrupt, "CORRUPT", "check", "--data", "a")
	if !strings.Contains(r.out, "segment of commit 1,") {
		t.Errorf("a damaged segment: %+v", r)
	}
	s.fails(exitNotFound, "NOT_FOUND", "check", "--data", "hub", "--hub", "--db", "other")
}

// A hub's log is damaged while it is not served: served again it mends itself, and who comes new gets all; so it does by command, and a
// device's log, after which it syncs. Large values and summaries are built anew.
func TestRepairOfALog(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	s.in = "[" + strings.Repeat(`"some value that takes its room",`, 2000) + "0]"
	s.ok("import", "--data", "a", "--feed", hub.Feed, "c", "-")
	s.in = `"` + strings.Repeat("large", 20_000) + `"`
	s.ok("put", "--data", "a", "c", "x", "-")
	s.in = ""
	hub.end(syscall.SIGTERM)
	for _, file := range []string{"a/replicas/main.db", "hub/databases/main.db"} {
		args := []string{"check", "--data", strings.Split(file, "/")[0]}
		if strings.HasPrefix(file, "hub") {
			args = append(args, "--hub")
		}
		for _, kind := range []byte{'O', 'M', 'L'} {
			s.harm(file, kind, false)
			if kind == 'L' {
				s.fails(exitCorrupt, "CORRUPT", args...)
			}
			if out := s.ok(append(args, "--repair")...); !strings.Contains(out, "ok: 2,002 objects") {
				t.Errorf("%c of %s: %s", kind, file, out)
			}
			if out := s.ok(args...); !strings.Contains(out, "in quarantine: ") || !strings.Contains(out, "ok: 2,002 objects") {
				t.Errorf("%c of %s, again: %s", kind, file, out)
			}
		}
	}
	s.harm("hub/databases/main.db", 'L', true) // its tail, and the beginning
	hub = s.serve("--data", "hub")
	s.ok("sync", "--data", "b", "--feed", hub.Feed)
	s.ok("put", "--data", "a", "--feed", hub.Feed, "c", "y", "1")
	s.ok("sync", "--data", "b", "--feed", hub.Feed)
	hub.end(syscall.SIGTERM)
	for _, data := range [][]string{{"--data", "a"}, {"--data", "b"}, {"--data", "hub", "--hub"}} {
		if out := s.ok(append([]string{"check"}, data...)...); !strings.Contains(out, "ok: 2,003 objects") {
			t.Errorf("%v: %s", data, out)
		}
	}
}
