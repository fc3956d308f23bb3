package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Keys are made, tokens of them are asked for by the hub, devices sync with one, and services write over HTTP; without, nothing is had.
func TestTokens(t *testing.T) {
	s := newShell(t)
	s.ok("keys", "keys.json", "--alg", "HS256", "--kid", "old")
	equal(t, s.ok("keys", "keys.json", "--kid", "new"), "new\nold\n")
	if info, err := os.Stat(filepath.Join(s.dir, "keys.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the keys: %v %v", info.Mode(), err)
	}
	hub := s.serve("--data", "hub", "--keys", "keys.json", "--host", "0.0.0.0")
	feed := strings.Replace(hub.Feed, "0.0.0.0", "127.0.0.1", 1)
	sign := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(s.ok(append([]string{"token", "--keys", "keys.json"}, args...)...))
	}
	anna := sign("--subject", "anna", "--db", "main", "--expires", "1h")
	reads := sign("--subject", "bert", "--db", "main,other", "--read-only")
	other := sign("--subject", "anna", "--db", "other")

	s.fails(exitRefused, "UNAUTHENTICATED", "put", "--data", "a", "--feed", feed, "c", "1", "1")
	s.fails(exitRefused, "FORBIDDEN", "put", "--data", "a", "c", "1", "1", "--token", other)
	s.ok("put", "--data", "a", "c", "1", "1", "--token", anna)
	equal(t, s.ok("get", "--data", "b", "--feed", feed, "c", "1", "--token", reads), "1\n")
	s.fails(exitRefused, "FORBIDDEN", "put", "--data", "b", "c", "1", "2", "--token", reads)
	s.env = append(s.env, "VSYNC_TOKEN="+anna)
	equal(t, s.ok("get", "--data", "c", "--feed", feed, "c", "1"), "1\n")

	ask := func(method, path, token, body string) (status int, answer map[string]any) {
		t.Helper()
		req, err := http.NewRequest(method, "http"+strings.TrimPrefix(feed, "ws")+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return resp.StatusCode, answer
	}
	write := `{"writes": [{"collection": "c", "id": "1", "value": "by a service"}]}`
	if status, answer := ask("POST", "/v1/main/batch", anna, write); status != 200 {
		t.Errorf("%d %v", status, answer)
	}
	equal(t, s.ok("get", "--data", "c", "c", "1"), "\"by a service\"\n")
	if status, answer := ask("POST", "/v1/main/batch", reads, write); status != 403 || answer["code"] != "FORBIDDEN" {
		t.Errorf("%d %v", status, answer)
	}
	// Health tells who has no token that there is a hub, and no more.
	for token, databases := range map[string]int{"": 0, other: 0, anna: 1} {
		if _, answer := ask("GET", "/v1/health", token, ""); answer["status"] != "ok" || len(answer["databases"].([]any)) != databases {
			t.Errorf("%v", answer)
		}
	}

	// The hub takes up what changes in the file: a key that is gone is gone, for the tokens that it signed.
	s.ok("keys", "keys.json", "--remove", "new")
	patience := time.After(20 * time.Second)
	for status := 0; status != http.StatusUnauthorized; status, _ = ask("GET", "/v1/main/changes", anna, "") {
		select {
		case <-patience:
			t.Fatalf("the key is still good: %d", status)
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.fails(exitRefused, "UNAUTHENTICATED", "sync", "--data", "c")
	s.ok("sync", "--data", "c", "--token", sign("--subject", "anna", "--db", "*"))
	hub.end(syscall.SIGTERM)
}

func TestTokensRefused(t *testing.T) {
	s := newShell(t)
	s.fails(exitUsage, "USAGE", "token", "--subject", "anna", "--db", "main")
	s.fails(exitUsage, "USAGE", "token", "--keys", "none.json", "--subject", "anna", "--db", "main")
	s.fails(exitUsage, "INVALID", "keys", "keys.json", "--alg", "none")
	s.ok("keys", "keys.json", "--kid", "a")
	text := s.read("keys.json")
	for _, args := range [][]string{{"--db", "main"}, {"--subject", "anna"}} {
		s.fails(exitUsage, "INVALID", append([]string{"token", "--keys", "keys.json"}, args...)...)
	}
	s.fails(exitUsage, "USAGE", "token", "--keys", "keys.json", "--subject", "anna", "--db", "No Name")
	s.fails(exitUsage, "USAGE", "token", "--keys", "keys.json", "--subject", "anna", "--db", "main", "--expires", "0")
	s.fails(exitUsage, "INVALID", "keys", "keys.json", "--kid", "a")
	s.fails(exitUsage, "INVALID", "keys", "keys.json", "--remove", "a")
	s.fails(exitUsage, "INVALID", "keys", "keys.json", "--remove", "b")
	equal(t, s.read("keys.json"), text)
	s.file("bad.json", `{"keys": []}`)
	s.fails(exitUsage, "INVALID", "serve", "--port", "0", "--keys", "bad.json")
	s.fails(exitUsage, "INVALID", "keys", "bad.json")
	s.env = append(s.env, "VSYNC_KEYS="+text)
	if out := s.ok("token", "--subject", "anna", "--db", "main"); strings.Count(out, ".") != 2 {
		t.Errorf("%s", out)
	}
	s.ok("keys", "pair.json", "--kid", "a")
	if public := s.ok("keys", "pair.json", "--public"); strings.Count(public, "\n") != 1 || strings.Contains(public, `"d"`) || !strings.Contains(public, `"x"`) {
		t.Errorf("%s", public)
	}
	var said struct{ Rights string }
	if err := json.Unmarshal([]byte(s.ok("token", "--subject", "anna", "--db", "main", "--read-only", "--json")), &said); err != nil || said.Rights != "read" {
		t.Errorf("%+v %v", said, err)
	}
}

// Who may only read makes no database: he is told what he waits for, and gets it once somebody has made it.
func TestReaderBeforeThereIsAnything(t *testing.T) {
	t.Parallel() // it waits more than it works
	s := newShell(t)
	s.ok("keys", "keys.json")
	hub := s.serve("--data", "hub", "--keys", "keys.json")
	sign := func(args ...string) string {
		return strings.TrimSpace(s.ok(append([]string{"token", "--keys", "keys.json", "--db", "*"}, args...)...))
	}
	writes, reads := sign("--subject", "anna"), sign("--subject", "bert", "--read-only")
	b := []string{"--data", "b", "--feed", hub.Feed, "--token", reads}
	s.fails(exitNotFound, "NOT_FOUND", append([]string{"sync"}, b...)...)
	s.fails(exitNotFound, "NOT_FOUND", append([]string{"get", "c", "1"}, b...)...)
	if r := s.fails(exitNotFound, "NOT_FOUND", "put", "c", "2", "2", "--data", "d", "--feed", hub.Feed, "--token", reads); !strings.Contains(r.err, "one write is stored here") {
		t.Errorf("put: %s", r.err)
	}
	if out := s.ok(append([]string{"status"}, b...)...); !strings.Contains(out, "waiting: NOT_FOUND there is no database") {
		t.Errorf("status: %s", out)
	}
	if files, err := os.ReadDir(filepath.Join(s.dir, "hub", "databases")); err != nil || len(files) != 0 {
		t.Errorf("there are %v, %v", files, err)
	}
	watch := s.command(append([]string{"watch", "--from", "now"}, b...)...)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := watch.StderrPipe()
	if err == nil {
		err = watch.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	end := func() { watch.Process.Kill() }
	defer time.AfterFunc(2*patience, end).Stop()
	defer watch.Wait()
	defer end()
	if line := bufio.NewScanner(said); !line.Scan() || !strings.Contains(line.Text(), "there is no database") {
		t.Errorf("watch said %q", line.Text())
	}
	s.ok("put", "--data", "a", "--feed", hub.Feed, "c", "1", "1", "--token", writes)
	if line := bufio.NewScanner(out); !line.Scan() || line.Text() != "put    c 1 1" {
		t.Errorf("watch printed %q", line.Text())
	}
}
