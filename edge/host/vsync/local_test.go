package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCommandsOfOneDevice(t *testing.T) {
	s := newShell(t)
	first := strings.TrimSpace(s.ok("put", "todo", "1", `{"b":1.0,"a":"milk"}`, "--note", "from the list"))
	equal(t, s.ok("get", "todo", "1"), `{"b":1,"a":"milk"}`+"\n")

	s.in = `"from stdin"`
	s.ok("put", "todo", "2", "-")
	s.ok("put", "todo", "3")
	s.ok("put", "--strict", "todo", "-4", "-4")
	s.ok("put", "todo", "--", "--5", "[true,null]")
	equal(t, s.ok("scan", "todo"), "--5\t[true,null]\n-4\t-4\n1\t{\"b\":1,\"a\":\"milk\"}\n2\t\"from stdin\"\n3\t\"from stdin\"\n")
	equal(t, s.ok("scan", "todo", "--from", "1", "--to", "3", "--reverse"), "2\t\"from stdin\"\n1\t{\"b\":1,\"a\":\"milk\"}\n")
	equal(t, s.ok("scan", "--prefix=-", "todo", "--limit", "1"), "--5\t[true,null]\n")
	equal(t, s.ok("scan", "nothing"), "")

	s.ok("delete", "todo", "2")
	equal(t, s.ok("export", "todo"), `{"id":"--5","value":[true,null]}
{"id":"-4","value":-4}
{"id":"1","value":{"b":1,"a":"milk"}}
{"id":"3","value":"from stdin"}
`)
	s.ok("put", "zoo", "z", "1")
	if out := s.ok("export"); !strings.HasSuffix(out, `{"collection":"zoo","id":"z","value":1}`+"\n") {
		t.Errorf("export of all: %s", out)
	}

	s.ok("put", "todo", "1", `"eggs"`, "--seen", first)
	history := strings.Split(strings.TrimSpace(s.ok("history", "todo", "1")), "\n")
	if len(history) != 2 || !strings.HasSuffix(history[0], `put "eggs"`) || !strings.HasPrefix(history[1], first) || !strings.HasSuffix(history[1], "(from the list)") {
		t.Errorf("history: %q", history)
	}
	equal(t, s.ok("history", "todo", "1", "--limit", "1"), history[0]+"\n")
	if out := s.ok("history", "--json", "todo", "2"); !strings.Contains(out, `"deleted":true`) {
		t.Errorf("history of a deleted object: %s", out)
	}

	if out := s.ok("check"); !strings.HasPrefix(out, "ok: 6 objects") {
		t.Errorf("check: %s", out)
	}
	if out := s.ok("status"); !strings.Contains(out, "phase      local") || !strings.Contains(out, "pending    8") {
		t.Errorf("status: %s", out)
	}
	equal(t, s.ok("problems"), "none\n")
	equal(t, s.ok("version"), "vsync dev\n")
}

func TestConflictIsShown(t *testing.T) {
	s := newShell(t)
	s.ok("put", "c", "1", `"left"`)
	s.ok("put", "c", "1", `"right"`, "--seen", "none")
	r := s.run("get", "c", "1")
	if r.code != 0 || r.out != "\"right\"\n" || !strings.Contains(r.err, "2 sides") {
		t.Errorf("get: %+v", r)
	}
	var e jsonEntry
	if err := json.Unmarshal([]byte(s.ok("get", "c", "1", "--json")), &e); err != nil || !e.Conflict || len(e.Frontier) != 2 {
		t.Errorf("get --json: %+v, %v", e, err)
	}
	s.ok("put", "c", "1", `"both"`, "--seen", strings.Join(e.Frontier, ","))
	if r := s.run("get", "c", "1"); r.err != "" || r.out != "\"both\"\n" {
		t.Errorf("after the merge: %+v", r)
	}
}

func TestImport(t *testing.T) {
	s := newShell(t)
	array := s.file("a.json", ` [ {"n":"x","k":7}, "two", [3] ] `)
	if out := s.ok("import", "rows", array); !strings.HasPrefix(out, "imported 3 rows in 1 batch,") {
		t.Errorf("import: %s", out)
	}
	equal(t, s.ok("scan", "rows"), "00000001\t{\"n\":\"x\",\"k\":7}\n00000002\t\"two\"\n00000003\t[3]\n")

	s.in = "{\"n\":\"x\",\"k\":7}\n{\"k\":8,\"n\":\"y\"}\n\n{\"k\":9,\"n\":\"x\"}"
	s.ok("import", "named", "-", "--id", "n", "--batch", "3")
	equal(t, s.ok("scan", "named"), "x\t{\"k\":9,\"n\":\"x\"}\ny\t{\"k\":8,\"n\":\"y\"}\n")
	s.ok("import", "numbered", "-", "--id", "k")
	if out := s.ok("scan", "numbered", "--prefix", "9"); out != "9\t{\"k\":9,\"n\":\"x\"}\n" {
		t.Errorf("ids from numbers: %s", out)
	}

	s.in = s.ok("export", "named")
	s.ok("import", "copy", "-", "--exported", "--db", "other")
	equal(t, s.ok("export", "copy", "--db", "other"), s.in)

	s.in = ""
	if out := s.ok("import", "none", "-", "--json"); !strings.Contains(out, `"rows":0`) {
		t.Errorf("import of nothing: %s", out)
	}
}

func TestImportOfWrongRows(t *testing.T) {
	s := newShell(t)
	for text, where := range map[string]string{
		`[1,2,3,}`:             "row 4",
		`[1,2,3`:               "does not end",
		`[1,2,3] 4`:            "behind the end",
		"1\n2\n3\n\"\\ud800\"": "row 4",
		"1\n2\n3\nx":           "row 4",
	} {
		s.in = text
		r := s.fails(exitUsage, "INVALID", "import", "c", "-", "--batch", "2", "--db", "db1")
		if !strings.Contains(r.err, where) {
			t.Errorf("%s: %q does not say %q", text, r.err, where)
		}
	}
	equal(t, s.ok("scan", "c", "--db", "db1"), "00000001\t1\n00000002\t2\n")

	s.in = `{"a":1}` + "\n" + `{"b":1}`
	s.fails(exitUsage, "INVALID", "import", "c", "-", "--id", "a", "--db", "db2")
	equal(t, s.ok("scan", "c", "--db", "db2"), "")
	s.in = `"` + strings.Repeat("x", 1<<20) + `"`
	s.fails(exitUsage, "INVALID", "import", "c", "-")
	s.in = strings.Repeat(" ", maxRow) + "1"
	s.fails(exitUsage, "VALUE_TOO_LARGE", "put", "c", "1")
}

// Rows that are large end a batch before their number does.
func TestImportOfLargeRows(t *testing.T) {
	s := newShell(t)
	var text strings.Builder
	for range 20 {
		text.WriteString(`"` + strings.Repeat("y", 1_000_000) + "\"\n")
	}
	s.in = text.String()
	if out := s.ok("import", "large", "-"); !strings.HasPrefix(out, "imported 20 rows in 4 batches") {
		t.Errorf("import: %s", out)
	}
}

func TestUsage(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{
		{"nothing"}, {"get"}, {"get", "a"}, {"get", "a", "b", "c"}, {"get", "a", "b", "--no-such-flag"}, {"put", "a", "b", "1", "--note"},
		{"scan", "a", "--limit", "-1"}, {"scan", "a", "--limit", "x"}, {"get", "a", "b", "--timeout", "soon"}, {"get", "a", "b", "--offline=perhaps"},
		{"get", "a", "b", "--db", "../x"}, {"get", "a", "b", "--db", ".."}, {"get", "a", "b", "--db", "Big"},
		{"get", "a", "b", "--feed", "localhost:8787"}, {"get", "a", "b", "--feed", "ftp://x"}, {"put", "a", "b", "1", "--seen", "x"},
		{"import", "a", "none.json"}, {"import", "a", "."}, {"import", "a", "-", "--batch", "0"}, {"import", "a", "-", "--batch", "20001"},
		{"import", "a", "-", "--id", "x", "--exported"}, {"watch", "--prefix", "x"}, {"serve", "--port", "70000"}, {"help", "nothing"},
	} {
		s.fails(exitUsage, "USAGE", args...)
	}
	s.fails(exitUsage, "INVALID", "put", "a", "b", "{")
	if r := s.run("put", "a", "b"); r.code != exitUsage || !strings.Contains(r.err, "no value was given") {
		t.Errorf("a write without a value: %+v", r)
	}
	s.fails(exitUsage, "INVALID", "put", "$rules", "b", "1")
	s.fails(exitUsage, "KEY_TOO_LONG", "put", "a", strings.Repeat("k", 513), "1")
	s.fails(exitUsage, "LOCAL_ONLY", "sync")
	s.fails(exitUsage, "UNKNOWN_MARKER", "watch", "--from", "yesterday")
	if r := s.run("get", "--json", "a"); r.code != exitUsage || !json.Valid([]byte(r.err)) || !strings.Contains(r.err, `"code":"USAGE"`) || !strings.Contains(r.err, `"exit":2`) {
		t.Errorf("an error with --json: %+v", r)
	}
}

func TestHelp(t *testing.T) {
	s := newShell(t)
	all := s.ok("help")
	equal(t, s.ok(), all)
	equal(t, s.ok("--help"), all)
	for _, cmd := range commands() {
		if !strings.Contains(all, "\n  "+cmd.name+" ") {
			t.Errorf("help does not list %s", cmd.name)
		}
		own := s.ok(cmd.name, "--help")
		equal(t, s.ok("help", cmd.name), own)
		if !strings.HasPrefix(own, "usage: vsync "+cmd.name) || strings.Contains(own, "%!") {
			t.Errorf("help of %s: %s", cmd.name, own)
		}
		for line := range strings.SplitSeq(all+own, "\n") {
			if len(line) > 120 {
				t.Errorf("a line of help is too long for a terminal: %s", line)
			}
		}
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 0 {
		t.Errorf("help has made %v", entries)
	}
}

func TestNotFound(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{
		{"get", "a", "b"}, {"scan", "a"}, {"export"}, {"check"}, {"history", "a", "b"}, {"status"}, {"problems"}, {"dismiss", "all"}, {"watch"},
		{"get", "a", "b", "--feed", "ws://localhost:1", "--offline"},
	} {
		s.fails(exitNotFound, "NOT_FOUND", args...)
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 0 {
		t.Errorf("reading has made %v", entries)
	}
	s.ok("put", "a", "b", "1")
	s.ok("delete", "a", "b")
	for _, args := range [][]string{
		{"get", "a", "b"}, {"get", "a", "c"}, {"history", "a", "c"}, {"delete", "a", "b"}, {"dismiss", "00000000000000000000000000000001:1"},
		{"retry", "00000000000000000000000000000001:1"},
	} {
		s.fails(exitNotFound, "NOT_FOUND", args...)
	}
}

func TestCorrupt(t *testing.T) {
	s := newShell(t)
	os.MkdirAll(filepath.Join(s.dir, ".vsync", "replicas"), 0o755)
	damaged := strings.Repeat("this is no database. ", 1000)
	s.file(".vsync/replicas/main.db", damaged)
	for _, args := range [][]string{{"get", "a", "b"}, {"put", "a", "b", "1"}, {"check"}} {
		s.fails(exitCorrupt, "CORRUPT", args...)
	}
	equal(t, s.read(".vsync/replicas/main.db"), damaged)

	// A file of SQLite with damage inside.
	s.in = "[" + strings.Repeat(`"some value that takes its room",`, 5000) + "0]"
	s.ok("import", "c", "-", "--db", "x")
	whole := []byte(s.read(".vsync/replicas/x.db"))
	for i := 4096; i < len(whole); i += 512 {
		whole[i] ^= 0x55
	}
	s.file(".vsync/replicas/x.db", string(whole))
	s.fails(exitCorrupt, "CORRUPT", "check", "--db", "x")
	equal(t, s.read(".vsync/replicas/x.db"), string(whole))
}

func TestLocked(t *testing.T) {
	s := newShell(t)
	s.ok("put", "a", "b", "1")
	w := s.start("watch")
	if line := w.next(); line != "has    a b 1" {
		t.Errorf("watch printed %q", line)
	}
	r := s.fails(exitLocked, "LOCKED", "get", "a", "b")
	if !strings.Contains(r.err, "process with pid") {
		t.Errorf("it does not say who has it: %s", r.err)
	}
	s.ok("put", "a", "b", "1", "--db", "other")
	if r := w.end(os.Interrupt); r.code != 0 {
		t.Errorf("watch: %+v", r)
	}
	s.ok("get", "a", "b")
}

func TestDirectories(t *testing.T) {
	s := newShell(t)
	s.fails(exitOther, "NO_DIRECTORY", "put", "a", "b", "1", "--data", "not/there")
	s.file("file", "")
	s.fails(exitOther, "NO_DIRECTORY", "put", "a", "b", "1", "--data", "file")
	s.fails(exitOther, "NO_DIRECTORY", "put", "a", "b", "1", "--data", "file/below")
	s.fails(exitOther, "NO_DIRECTORY", "serve", "--port", "0", "--data", "not/there")
}

func TestReadOnly(t *testing.T) {
	s := newShell(t)
	s.uid = 65534
	os.Mkdir(filepath.Join(s.dir, "ro"), 0o755)
	os.Chmod(filepath.Join(s.dir, "ro"), 0o555)
	for _, args := range [][]string{
		{"put", "a", "b", "1", "--data", "ro"}, {"put", "a", "b", "1", "--data", "ro/new"}, {"serve", "--port", "0", "--data", "ro"},
	} {
		s.fails(exitStorage, "READ_ONLY", args...)
	}
	os.MkdirAll(filepath.Join(s.dir, "old", "replicas"), 0o777)
	os.Chmod(filepath.Join(s.dir, "old", "replicas"), 0o777)
	s.ok("put", "a", "b", "1", "--data", "old")
	os.Chmod(filepath.Join(s.dir, "old", "replicas", "main.db"), 0o444)
	s.fails(exitStorage, "READ_ONLY", "put", "a", "b", "2", "--data", "old")
}

// What cannot be printed is a failure, and the second signal ends what does not end by itself.
func TestOutput(t *testing.T) {
	s := newShell(t)
	s.in = "[" + strings.Repeat(`"some value that takes its room in a pipe",`, 5000) + "0]"
	s.ok("import", "c", "-")
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		defer full.Close()
		cmd := s.command("scan", "c")
		cmd.Stdout = full
		if cmd.Run(); cmd.ProcessState.ExitCode() != exitOther {
			t.Errorf("printing on a full disk: exit %d", cmd.ProcessState.ExitCode())
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := s.command("scan", "c")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	one := make([]byte, 1)
	r.Read(one) // it prints now, and soon nobody takes it
	cmd.Process.Signal(os.Interrupt)
	stuck := make(chan struct{})
	go func() { cmd.Wait(); close(stuck) }()
	for ended := false; !ended; {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-stuck:
			ended = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != exitOther {
		t.Errorf("after two signals: exit %d", code)
	}
}

// Reading stdin ends with a signal too.
func TestInterruptedInput(t *testing.T) {
	s := newShell(t)
	cmd := s.command("import", "c", "-")
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	in.Write([]byte("1\n2\n"))
	for !exists(filepath.Join(s.dir, ".vsync", "replicas", "main.db")) {
		time.Sleep(10 * time.Millisecond)
	}
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitOther || errs.String() != "vsync: ABORTED: interrupted\n" {
		t.Errorf("exit %d: %q", code, errs.String())
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
