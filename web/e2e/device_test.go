package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"vsync/web/browser"
)

// A device is a browser: one directory, and process after process on it.
type device struct {
	name string
	dir  string
	browser.Driver
}

// start starts the browser if it does not run.
func (d *device) start(t *testing.T) {
	t.Helper()
	if d.Driver != nil {
		select {
		case <-d.Done():
			t.Errorf("the browser of %s has ended by itself", d.name)
		default:
			return
		}
	}
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "vsync-"+d.name+"-")
		if err != nil {
			t.Fatal(err)
		}
		d.dir = dir
	}
	b, err := browser.Drive(soon(t), kind, browser.Options{Dir: d.dir})
	if err != nil {
		t.Fatal(err)
	}
	d.Driver = b
}

// chromium is what only Chromium can do. A test that needs it fails in other browsers, and is not to be run there.
func (d *device) chromium(t *testing.T) *browser.Browser {
	t.Helper()
	b := browser.AsChromium(d.Driver)
	if b == nil {
		t.Fatalf("what this test does to its browser, %s has no command for", kind)
	}
	return b
}

// chromium is what only a page of Chromium can do.
func (p *tab) chromium() *browser.Page {
	p.t.Helper()
	page, is := p.Tab.(*browser.Page)
	if !is {
		p.t.Fatalf("what this test does to its page, %s has no command for", kind)
	}
	return page
}

// die is kill -9 for all processes of the browser.
func (d *device) die(t *testing.T) {
	t.Helper()
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	d.Driver = nil
}

// restart ends the browser as its user does, and starts it again.
func (d *device) restart(t *testing.T) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.Driver = nil
	d.start(t)
}

// end is the end of all tests.
func (d *device) end() (err error) {
	if d.Driver != nil {
		err = d.Close()
	}
	if d.dir != "" {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}

// A tab is a page of a device, at an application of its own.
type tab struct {
	browser.Tab
	t    *testing.T
	name string // of the device
	tell func(what, text string)
	told sync.WaitGroup

	marks  chan string     // that the page has set: see drain
	left   context.Context // ends when the tab is closed
	leave  context.CancelFunc
	drains int
}

// bareTab opens a tab at a page that is not the application's.
func bareTab(t *testing.T, d *device, url string) *tab {
	t.Helper()
	d.start(t)
	page, err := d.Open(soon(t), url)
	if err != nil {
		t.Fatal(err)
	}
	p := &tab{Tab: page, t: t, name: d.name}
	p.left, p.leave = context.WithCancel(context.Background())
	t.Cleanup(p.close)
	return p
}

// open opens a tab of the application. tell gets what the page tells, in its order; nil: nothing may come.
func (d *device) open(t *testing.T, url string, tell func(what, text string)) *tab {
	t.Helper()
	d.start(t)
	page, err := d.Open(soon(t), "")
	if err != nil {
		t.Fatal(err)
	}
	return d.inTab(t, page, url, tell)
}

// private is open in a private window of its own.
func (d *device) private(t *testing.T, url string) *tab {
	t.Helper()
	d.start(t)
	page, err := d.chromium(t).Private(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return d.inTab(t, page, url, nil)
}

func (d *device) inTab(t *testing.T, page browser.Tab, url string, tell func(what, text string)) *tab {
	t.Helper()
	p := &tab{Tab: page, t: t, name: d.name, tell: tell, marks: make(chan string, 1)}
	p.left, p.leave = context.WithCancel(context.Background())
	if tell == nil {
		p.tell = func(what, text string) { t.Errorf("%s told %s: %s", p.name, what, text) }
	}
	p.listen()
	t.Cleanup(p.close)
	p.visit(url)
	return p
}

// listen takes what the page tells, as [what, text]: Chromium calls, of the others the page is asked.
func (p *tab) listen() {
	p.t.Helper()
	page, is := p.Tab.(*browser.Page)
	if !is {
		p.told.Go(p.pull)
		return
	}
	bind := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		calls := cdp.Events(page.Context(), target, runtime.BindingCalled)
		p.told.Go(func() {
			for call, err := range calls {
				if err != nil {
					return // with the tab
				}
				p.hear(call.Payload)
			}
		})
		_, err := cdp.Call(ctx, target, runtime.AddBinding, runtime.AddBindingParams{Name: "tellTest"})
		return err
	})
	if err := page.Do(soon(p.t), bind); err != nil {
		p.t.Fatal(err)
	}
}

// pull asks the page what it has to tell, until the tab is closed. A page that is left in the middle takes along what it had not told.
func (p *tab) pull() {
	for p.left.Err() == nil {
		var said []string
		if p.Eval(p.left, &said, "loaded.then(() => e2e.toldSoFar())") != nil {
			select {
			case <-p.left.Done():
			case <-time.After(20 * time.Millisecond): // the next page is not there yet
			}
		}
		for _, text := range said {
			p.hear(text)
		}
	}
}

func (p *tab) hear(text string) {
	var said [2]string
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		p.t.Errorf("%s told %q: %v", p.name, text, err)
	}
	if said[0] == "mark" {
		p.marks <- said[1]
		return
	}
	p.tell(said[0], said[1])
}

// drain waits until all that the page has told so far has been taken.
func (p *tab) drain() {
	p.t.Helper()
	p.drains++
	mark := strconv.Itoa(p.drains)
	p.js(nil, `e2e.tell('mark', args[0])`, mark)
	select {
	case got := <-p.marks:
		if got != mark {
			p.t.Fatalf("%s told of mark %s, want %s", p.name, got, mark)
		}
	case <-soon(p.t).Done():
		p.t.Fatalf("%s has not told of a mark%s", p.name, p.standing())
	}
}

func (p *tab) visit(url string) {
	p.t.Helper()
	if err := p.Go(soon(p.t), url); err != nil {
		p.t.Fatalf("%s: %v%s", p.name, err, p.printed())
	}
	p.ready()
}

func (p *tab) reload() {
	p.t.Helper()
	if err := p.Reload(soon(p.t)); err != nil {
		p.t.Fatalf("%s: %v%s", p.name, err, p.printed())
	}
	p.ready()
}

// ready wants the page's module to have run. For a moment the empty page of a new tab may still be there, whose load is taken for the next one's.
func (p *tab) ready() {
	p.t.Helper()
	var what string
	for ctx := soon(p.t); p.Eval(ctx, &what, "typeof loaded") != nil || what != "object"; {
		select {
		case <-ctx.Done():
			p.t.Fatalf("%s: its page has not begun: %v%s", p.name, context.Cause(ctx), p.printed())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := p.Eval(soon(p.t), nil, "loaded"); err != nil {
		p.t.Fatalf("%s: %v%s", p.name, err, p.printed())
	}
}

// close closes the tab. What it has told comes before; an error that nobody caught in it is the test's.
func (p *tab) close() {
	p.gone()
	for _, m := range p.Messages() {
		if m.Kind == "exception" {
			p.t.Errorf("%s: %v", p.name, m)
		}
	}
}

// gone waits for the end of a tab that is closed, or whose browser was killed.
func (p *tab) gone() {
	p.leave()
	if err := p.Close(); err != nil {
		p.t.Error(err)
	}
	p.told.Wait()
}

// printed is what the page has printed.
func (p *tab) printed() string {
	var text strings.Builder
	for _, m := range p.Messages() {
		text.WriteString("\n    " + p.name + " printed " + m.String())
	}
	return text.String()
}

// js runs the body of an asynchronous function in the page, and decodes what it returns into into, unless that is nil.
// The body finds there what page.js has: db, the database that was opened, notes, a collection of it, vsync, the SDK,
// and e2e, what page.js exports.
func (p *tab) js(into any, body string, args ...any) {
	p.t.Helper()
	if err := p.try(soon(p.t), into, body, args...); err != nil {
		p.t.Fatalf("%s: %v%s", p.name, err, p.standing())
	}
}

// long is js for what may take as long as it goes on, see e2e.begin: in half a minute, something has to.
func (p *tab) long(into any, body string, args ...any) {
	p.t.Helper()
	began, first := time.Now(), ""
	p.js(nil, `e2e.begin((async () => {`+body+`})())`, args...)
	for last := ""; ; {
		var is struct {
			Done  bool
			Value json.RawMessage
			Far   string
		}
		p.js(&is, `return await e2e.far(30_000)`)
		switch {
		case is.Done:
			if first != "" {
				p.t.Logf("%s: %s took %v; after 30 s it was at %s", p.name, body, time.Since(began).Round(time.Second), first)
			}
			if into == nil {
				return
			}
			if err := json.Unmarshal(is.Value, into); err != nil {
				p.t.Fatalf("%s: %s gave %s: %v", p.name, body, is.Value, err)
			}
			return
		case is.Far == last:
			p.t.Fatalf("%s: %s: nothing went on in 30 s, it is at %s%s", p.name, body, last, p.standing())
		case first == "":
			first = is.Far
		}
		last = is.Far
	}
}

func (p *tab) try(ctx context.Context, into any, body string, args ...any) error {
	return p.Call(ctx, into, "async (...args) => { const { db, notes, vsync } = e2e; "+body+" }", args...)
}

// standing is what helps to understand why something did not come: the status, and what was printed.
func (p *tab) standing() string {
	var status string
	err := p.Eval(soon(p.t), &status, "JSON.stringify([globalThis.e2e?.db?.status.current, globalThis.e2e?.saw])")
	if err != nil {
		status = err.Error()
	}
	return "\n    its status: " + status + p.printed()
}

// fails wants the body of a function to fail with a VsyncError of this code, whose message matches the pattern.
func (p *tab) fails(code, pattern, body string, args ...any) {
	p.t.Helper()
	var got *struct {
		Code, Message, Name string
		Ours                bool
	}
	p.js(&got, "try { await (async () => {"+body+"})() } catch (e) {"+
		"return { code: String(e?.code), message: String(e?.message ?? e), name: String(e?.name), ours: e instanceof vsync.VsyncError && e instanceof Error }"+
		"} return null", args...)
	switch {
	case got == nil:
		p.t.Errorf("%s: %s did not fail, want %s", p.name, body, code)
	case !got.Ours || got.Code != code:
		p.t.Errorf("%s: %s failed with %s %s: %s; want VsyncError %s", p.name, body, got.Name, got.Code, got.Message, code)
	case !regexp.MustCompile(pattern).MatchString(got.Message):
		p.t.Errorf("%s: %s: the message does not match /%s/: %s", p.name, code, pattern, got.Message)
	}
}
