package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vsync/edge/e2e/program"
	"vsync/edge/httpapi/described"
)

// A client speaks HTTP with a hub, as services do.
type client struct {
	t     testing.TB
	base  string
	token string // "" for none

	document *described.Document // what all answers have to be like; nil: nothing of it
}

// learn has the hub describe its API: answers that are not as it says are mistakes from then on.
func (c *client) learn() {
	c.t.Helper()
	d, err := described.Parse([]byte(c.ask("GET", "/v1/openapi.json", "").is(c.t, "the description", 200, "").Text))
	if err != nil {
		c.t.Fatal(err)
	}
	c.document = d
}

// An answer is what came, with the fields of whatever it is.
type answer struct {
	Status  int
	Header  http.Header
	Text    string
	Code    string
	Message string
	Version string
	Marker  string
	Cursor  string
	Value   json.RawMessage
	More    bool

	Frontier []string
	Objects  []found
	Versions []found
	Events   []struct {
		Marker, Version string
		Changes         []found
	}
}

type found struct {
	Collection, ID, Version string
	Value                   json.RawMessage
	Frontier, Parents       []string
	Deleted                 bool
}

func (c *client) request(method, path, body string, header ...string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(program.Soon(c.t), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// ask sends a request, and reads all of the answer.
func (c *client) ask(method, path, body string, header ...string) (a answer) {
	c.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(c.request(method, path, body, header...))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.document != nil {
		if err := c.document.Check(method, path, resp, text); err != nil {
			c.t.Error(err)
		}
	}
	_ = json.Unmarshal(text, &a)
	a.Status, a.Header, a.Text = resp.StatusCode, resp.Header, string(text)
	return a
}

// is expects a status and a code.
func (a answer) is(t testing.TB, what string, status int, code string) answer {
	t.Helper()
	if a.Status != status || a.Code != code {
		t.Errorf("%s: expected %d %s, got %d %s", what, status, code, a.Status, a.Text)
	}
	return a
}

// TestHTTP: services read and write over HTTP, beside devices, and see what these write.
func TestHTTP(t *testing.T) {
	h := program.Serve(t, t.TempDir())
	c := &client{t: t, base: "http://" + h.Addr()}
	c.learn()
	if a := c.ask("GET", "/v1/health", "").is(t, "health", 200, ""); a.Version == "" {
		t.Errorf("health without a version: %s", a.Text)
	}
	c.ask("GET", "/v1/e2e/changes", "").is(t, "a database that is not there", 404, "NOT_FOUND")
	c.ask("GET", "/v1/E2E/changes", "").is(t, "no name", 404, "NOT_FOUND")
	c.ask("GET", "/v1/e2e/nothing", "").is(t, "no route", 404, "NOT_FOUND")
	c.ask("DELETE", "/v1/e2e/object", "").is(t, "no method", 405, "METHOD_NOT_ALLOWED")

	// A batch is all or nothing, and 409 says what is there.
	put := func(id, value, expect string) string {
		return fmt.Sprintf(`{"writes": [{"collection": "notes", "id": %q, "value": %s%s}, {"collection": "other", "id": %[1]q, "value": true}]}`, id, value, expect)
	}
	one := c.ask("POST", "/v1/e2e/batch", put("1", `{"text":"milk"}`, `, "expect": []`)).is(t, "the first", 200, "")
	read := c.ask("GET", "/v1/e2e/object?collection=notes&id=1", "").is(t, "read", 200, "")
	if string(read.Value) != `{"text":"milk"}` || read.Version != one.Version || len(read.Frontier) != 1 || read.Frontier[0] != one.Version {
		t.Errorf("%s", read.Text)
	}
	refused := c.ask("POST", "/v1/e2e/batch", put("1", `2`, `, "expect": []`)).is(t, "expects nothing", 409, "CHANGED")
	if len(refused.Objects) != 1 || refused.Objects[0].Version != one.Version || string(refused.Objects[0].Value) != `{"text":"milk"}` {
		t.Errorf("%s", refused.Text)
	}
	expect := fmt.Sprintf(`, "expect": [%q]`, one.Version)
	two := c.ask("POST", "/v1/e2e/batch", put("1", `2`, expect), "Idempotency-Key", "a, b").is(t, "expects what is there", 200, "")
	if again := c.ask("POST", "/v1/e2e/batch", put("1", `2`, expect), "Idempotency-Key", "a, b").is(t, "the same again", 200, ""); again.Version != two.Version {
		t.Errorf("written twice: %s %s", two.Text, again.Text)
	}
	history := c.ask("GET", "/v1/e2e/history?collection=notes&id=1", "").is(t, "history", 200, "")
	if len(history.Versions) != 2 || history.Versions[0].Version != two.Version || history.Versions[1].Version != one.Version {
		t.Errorf("%s", history.Text)
	}
	if a := c.ask("HEAD", "/v1/e2e/object?collection=notes&id=1", ""); a.Status != 200 || a.Text != "" {
		t.Errorf("HEAD: %d %q", a.Status, a.Text)
	}
	for body, code := range map[string]string{`{"writes": []}`: "INVALID", `{`: "INVALID", `{"writes": [{"collection": "notes", "id": "1"}]}`: "INVALID"} {
		c.ask("POST", "/v1/e2e/batch", body).is(t, body, 400, code)
	}
	testFollow(t, h, c)
	testPages(t, c)
	c.ask("GET", "/v1/health", "").is(t, "health, with a database", 200, "")
	c.ask("GET", "/v1/e2e/export", "").is(t, "export", 200, "")
	h.Stop(t)
}

// testFollow: what a device writes comes to who waits for it, and what a service writes comes to devices.
func testFollow(t *testing.T, h *program.Hub, c *client) {
	marker := c.ask("GET", "/v1/e2e/changes", "").is(t, "the present", 200, "").Marker
	changes := func(wait int) answer {
		return c.ask("GET", fmt.Sprintf("/v1/e2e/changes?since=%s&wait=%d", url.QueryEscape(marker), wait), "").is(t, "changes", 200, "")
	}
	if a := changes(1); len(a.Events) != 0 || a.Marker != marker {
		t.Errorf("nothing has come: %s", a.Text)
	}
	d := follower(t, h.Addr(), "e2e", 5)
	waits := make(chan answer, 1)
	go func() { waits <- changes(30) }()
	putNote(t, d, "by a device", "bread")
	a := <-waits
	if len(a.Events) != 1 || len(a.Events[0].Changes) != 1 || string(a.Events[0].Changes[0].Value) != `"bread"` || a.Marker == marker {
		t.Errorf("%s", a.Text)
	}
	c.ask("POST", "/v1/e2e/batch", `{"writes": [{"collection": "notes", "id": "by a service", "value": "butter"}]}`).is(t, "a write", 200, "")
	awaitNote(t, d, "by a service", "butter")
	c.ask("GET", "/v1/e2e/changes?since=nonsense", "").is(t, "no marker", 410, "UNKNOWN_MARKER")
}

// testPages: more than one answer can hold comes in pages, and an export in pieces, which whoever leaves it does not hold up.
func testPages(t *testing.T, c *client) {
	const n = 6000
	pad := strings.Repeat("x", 300)
	for from := 0; from < n; from += 2000 {
		var b strings.Builder
		for i := from; i < from+2000; i++ {
			fmt.Fprintf(&b, `,{"collection": "many", "id": "%05d", "value": [%d, %q]}`, i, i, pad)
		}
		c.ask("POST", "/v1/e2e/batch", `{"writes": [`+b.String()[1:]+`]}`).is(t, "many", 200, "")
	}
	seen, cursor := 0, ""
	for page := 0; page == 0 || cursor != ""; page++ {
		a := c.ask("GET", "/v1/e2e/scan?collection=many&limit=1000&cursor="+cursor, "").is(t, "scan", 200, "")
		for _, o := range a.Objects {
			if o.ID != fmt.Sprintf("%05d", seen) {
				t.Fatalf("expected object %d, got %s", seen, o.ID)
			}
			seen++
		}
		cursor = a.Cursor
	}
	if seen != n {
		t.Errorf("scan has %d objects", seen)
	}
	export := func() *http.Response {
		resp, err := http.DefaultTransport.RoundTrip(c.request("GET", "/v1/e2e/export?collection=many", ""))
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		return resp
	}
	left := export()
	left.Body.Close() // with most of it unread
	resp := export()
	defer resp.Body.Close()
	lines, scanner := 0, bufio.NewScanner(resp.Body)
	for ; scanner.Scan(); lines++ {
		var o found
		if err := json.Unmarshal(scanner.Bytes(), &o); err != nil || o.ID != fmt.Sprintf("%05d", lines) {
			t.Fatalf("line %d: %s", lines, scanner.Text())
		}
	}
	if lines != n || scanner.Err() != nil {
		t.Errorf("export has %d lines, %v", lines, scanner.Err())
	}
	marker := resp.Header.Get("Vsync-Marker")
	if a := c.ask("GET", "/v1/e2e/changes?since="+url.QueryEscape(marker), "").is(t, "behind the export", 200, ""); len(a.Events) != 0 {
		t.Errorf("%s", a.Text)
	}
}
