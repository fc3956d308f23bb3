package sqlite

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"vsync/core/store"
)

// The test binary is its own second process: with childEnv set it plays a part
// on the store at that path.
const childEnv = "VSYNC_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	part, path, ok := strings.Cut(os.Getenv(childEnv), ":")
	if !ok {
		os.Exit(m.Run())
	}
	if err := map[string]func(string) error{"write": childWrites, "open": childOpens}[part](path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(part, path string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+part+":"+path)
	return cmd
}

func childOpens(path string) error {
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

// childWrites commits for ever and says so after each commit: n on a line
// of its own.
func childWrites(path string) error {
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
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
}

// numbered is the n-th commit: a counter, a small and a large row that name it,
// and the removal of its forerunner's large row. One in five is strict.
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

// checkNumbered checks that exactly the commits 1 … n are there, whole, and
// returns n.
func checkNumbered(t *testing.T, s store.Store) int {
	t.Helper()
	last, _, err := s.Get(ctx, []byte("last"))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(string(last))
	small, err := s.Scan(ctx, store.Prefix([]byte("small")))
	if err != nil || len(small) != n {
		t.Fatalf("%d small rows after %d commits, %v", len(small), n, err)
	}
	for i, row := range small {
		if string(row.Key) != fmt.Sprintf("small%08d", i+1) || string(row.Value) != fmt.Sprint(i+1) {
			t.Fatalf("small row %d is %q: %q", i+1, row.Key, row.Value)
		}
	}
	large, err := s.Scan(ctx, store.Prefix([]byte("large")))
	if err != nil || n > 0 && len(large) != 1 {
		t.Fatalf("%d large rows after %d commits, %v", len(large), n, err)
	}
	for _, row := range large {
		if string(row.Key) != fmt.Sprintf("large%08d", n) || !bytes.Equal(row.Value, bytes.Repeat(fmt.Appendf(nil, "%08d", n), store.MaxRow/8)) {
			t.Fatalf("the large row after %d commits is %q", n, row.Key)
		}
	}
	return n
}

// A process that is killed while it commits leaves all that it was told is
// stored, and at most the one commit more that it had under way.
func TestKill(t *testing.T) {
	p := newPlace(t)
	there := 0
	for round := range 6 {
		said := killAfter(t, p.path, there+37+91*round)
		s, err := Open(ctx, p.path, Options{})
		if err != nil {
			t.Fatalf("round %d: open after the kill: %v", round, err)
		}
		there = checkNumbered(t, s)
		if there < said || there > said+1 {
			t.Fatalf("round %d: %d commits were confirmed, %d are there", round, said, there)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter lets a child commit up to number n, kills it, and returns the last
// number that it has confirmed.
func killAfter(t *testing.T, path string, n int) int {
	t.Helper()
	cmd := child("write", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, killed := 0, false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if said, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the child said %q", lines.Text())
		}
		if said >= n && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	if !killed {
		t.Fatalf("the child ended by itself after %d: %v: %s", said, err, complaint.String())
	}
	return said
}

// Only one process owns the file, and the other is told which.
func TestOtherProcessIsTold(t *testing.T) {
	p := newPlace(t)
	s, err := p.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out, err := child("open", p.path).CombinedOutput()
	if err == nil {
		t.Fatal("another process opened the store too")
	}
	for _, part := range []string{store.ErrLocked.Error(), fmt.Sprintf("pid %d", os.Getpid()), p.path} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the other process was told %q, which lacks %q", out, part)
		}
	}
	if _, err := p.Open(ctx); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("a second open in this process: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := child("open", p.path).CombinedOutput(); err != nil {
		t.Fatalf("another process, after the close: %v: %s", err, out)
	}
}
