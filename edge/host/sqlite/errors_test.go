package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vsync/core/store"
	"vsync/edge/sqlrows"
)

func mustOpen(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(ctx, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func wantOpenError(t *testing.T, path string, want error, parts ...string) {
	t.Helper()
	s, err := Open(ctx, path, Options{})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("open: %v, want %v", err, want)
	}
	for _, part := range append(parts, path) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q lacks %q", err, part)
		}
	}
}

func TestMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	wantOpenError(t, filepath.Join(dir, "x.db"), fs.ErrNotExist, dir+": make it first")
	if stat(dir) == nil {
		t.Fatal("the directory was made")
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{{Readers: -1}, {MaxBytes: -1}} {
		if s, err := Open(ctx, newPlace(t).path, o); err == nil {
			s.Close()
			t.Errorf("opened with %+v", o)
		}
	}
}

func TestNotADatabase(t *testing.T) {
	path := newPlace(t).path
	junk := []byte(strings.Repeat("neither SQLite nor anything else ", 400))
	if err := os.WriteFile(path, junk, 0o644); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, path, store.ErrCorrupt)
	if left, err := os.ReadFile(path); err != nil || string(left) != string(junk) {
		t.Fatalf("the file was changed, %v", err)
	}
}

// raw runs SQL on the file behind the store's back.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTablesOfAnotherProgram(t *testing.T) {
	path := newPlace(t).path
	raw(t, path, `CREATE TABLE rows (name TEXT)`)
	wantOpenError(t, path, store.ErrCorrupt, "other tables")
	raw(t, path, `CREATE TABLE format (theirs TEXT)`) // ours was not left behind
}

func TestUnknownVersion(t *testing.T) {
	path := newPlace(t).path
	mustOpen(t, path, Options{}).Close()
	raw(t, path, fmt.Sprintf(`UPDATE format SET version = %d`, sqlrows.Version+1))
	wantOpenError(t, path, sqlrows.ErrVersion, fmt.Sprintf("found %d", sqlrows.Version+1))
}

// However the file was damaged, what comes is rows or an error that names it.
func TestDamagedFile(t *testing.T) {
	path := newPlace(t).path
	s := mustOpen(t, path, Options{})
	for n := 1; n <= 12; n++ {
		if err := s.Commit(ctx, numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	found := 0
	for page := range len(whole) / pageSize {
		damaged := append([]byte(nil), whole...)
		for i := range pageSize {
			damaged[page*pageSize+i] = byte(rng.Uint32())
		}
		found += readDamaged(t, path, damaged, fmt.Sprintf("page %d overwritten", page))
	}
	for range 100 {
		damaged := append([]byte(nil), whole...)
		bit := rng.IntN(8 * len(damaged))
		damaged[bit/8] ^= 1 << (bit % 8)
		readDamaged(t, path, damaged, fmt.Sprintf("bit %d flipped", bit))
	}
	found += readDamaged(t, path, whole[:len(whole)/2], "cut in half")
	if found < 3 {
		t.Fatalf("the damage was found %d times in %d pages", found, len(whole)/pageSize)
	}
}

// readDamaged puts the bytes in place of the file, uses it, and returns 1 if an
// error told of the damage.
func readDamaged(t *testing.T, path string, file []byte, what string) (found int) {
	t.Helper()
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(doing string, err error) {
		if err == nil {
			return
		}
		found = 1
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, sqlrows.ErrVersion) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %s: %v, want ErrCorrupt and the file's name", what, doing, err)
		}
	}
	s, err := Open(ctx, path, Options{})
	if err != nil {
		check("open", err)
		return found
	}
	_, err = s.Scan(ctx, store.Range{})
	check("scan", err)
	_, _, err = s.Get(ctx, []byte("last"))
	check("get", err)
	check("commit", s.Commit(ctx, numbered(13)))
	check("close", s.Close())
	return found
}

// A file with a bound is full when it is reached; deleting makes room.
func TestFullByBound(t *testing.T) {
	path := newPlace(t).path
	s := mustOpen(t, path, Options{MaxBytes: 1 << 20})
	n := fillUp(t, s)
	if n < 10 {
		t.Fatalf("full after %d commits", n)
	}
	var tx store.Tx
	tx.DeleteRange([]byte("fill"), []byte("fill00000005"))
	if err := s.Commit(ctx, &tx); err != nil {
		t.Fatalf("deleting in a full store: %v", err)
	}
	if err := s.Commit(ctx, filling(0)); err != nil {
		t.Fatalf("commit after rows were deleted: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
		t.Fatalf("the file: %v, %v", info, err)
	}
}

// filling is the n-th of many equal commits of two rows.
func filling(n int) *store.Tx {
	tx := &store.Tx{Durability: store.Durability(n % 2)}
	tx.Put(fmt.Appendf(nil, "fill%08d", n), make([]byte, 20_000))
	tx.Put(fmt.Appendf(nil, "twin%08d", n), fmt.Append(nil, n))
	return tx
}

// fillUp commits until the store is full, checks that it refuses whole and goes
// on reading, and returns how many commits it took.
func fillUp(t *testing.T, s store.Store) int {
	t.Helper()
	n := 0
	var err error
	for ; n < 10_000; n++ {
		if err = s.Commit(ctx, filling(n)); err != nil {
			break
		}
	}
	for again := range 3 {
		if !errors.Is(err, store.ErrQuota) {
			t.Fatalf("commit %d into a full store: %v, want ErrQuota", again, err)
		}
		checkFilled(t, s, n)
		err = s.Commit(ctx, filling(n))
	}
	return n
}

// checkFilled checks that the commits 0 … n−1 are there and nothing else.
func checkFilled(t *testing.T, s store.Store, n int) {
	t.Helper()
	for _, prefix := range []string{"fill", "twin"} {
		rows, err := s.Scan(ctx, store.Prefix([]byte(prefix)))
		if err != nil || len(rows) != n {
			t.Fatalf("%d rows %s… after %d commits, %v", len(rows), prefix, n, err)
		}
	}
	for i := range n {
		if v, ok, err := s.Get(ctx, fmt.Appendf(nil, "twin%08d", i)); string(v) != fmt.Sprint(i) {
			t.Fatalf("row %d: %q, %v, %v", i, v, ok, err)
		}
	}
}

// A strict commit that changes nothing still syncs what relaxed ones left: it
// reaches the WAL.
func TestUnchangingStrictCommitSyncs(t *testing.T) {
	path := newPlace(t).path
	s := mustOpen(t, path, Options{})
	// written is how many bytes the commit of tx adds to the WAL.
	written := func(tx *store.Tx, d store.Durability) int64 {
		t.Helper()
		before, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		tx.Durability = d
		if err := s.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return after.Size() - before.Size()
	}
	deletion := &store.Tx{}
	deletion.Delete([]byte("nothing"))
	for _, idle := range []*store.Tx{{}, deletion, filling(0)} {
		written(filling(0), store.Strict)
		if n := written(idle, store.Strict); n != 0 {
			t.Errorf("a strict commit of %d operations after a strict one wrote %d bytes", len(idle.Ops), n)
		}
		written(filling(0), store.Relaxed)
		if n := written(idle, store.Strict); n == 0 {
			t.Errorf("a strict commit of %d operations after a relaxed one wrote nothing", len(idle.Ops))
		}
	}
}
