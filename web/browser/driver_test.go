package browser_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"vsync/web/browser"
)

// What every kind of browser does for tests.
func TestKinds(t *testing.T) {
	for _, kind := range []browser.Kind{browser.Chromium, browser.Firefox, browser.WebKit} {
		t.Run(string(kind), func(t *testing.T) {
			d, err := browser.Drive(within(t), kind, browser.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			if d.Kind() != kind || (browser.AsChromium(d) != nil) != (kind == browser.Chromium) {
				t.Errorf("it says that it is %s", d.Kind())
			}
			story(t, d)
		})
	}
}

func story(t *testing.T, d browser.Driver) {
	ctx, url := within(t), site(t)
	tab, err := d.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	if err := tab.Call(ctx, &sum, "async (a, b) => a.n + b", map[string]int{"n": 40}, 2); err != nil || sum != 42 {
		t.Errorf("a call: %d, %v", sum, err)
	}
	var thrown *browser.Exception
	if err := tab.Eval(ctx, nil, "Promise.reject(new TypeError('no milk'))"); !errors.As(err, &thrown) || !strings.Contains(thrown.Text, "no milk") {
		t.Errorf("a rejection: %v", err)
	}
	if err := tab.Eval(ctx, nil, "nobody.home()"); !errors.As(err, &thrown) || !strings.Contains(thrown.Text, "nobody") {
		t.Errorf("an exception: %v", err)
	}
	brief, cancel := context.WithTimeoutCause(ctx, 50*time.Millisecond, errors.New("too long"))
	defer cancel()
	if err := tab.Until(brief, "false"); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("what never becomes true: %v", err)
	}

	// Two tabs share what an origin has, and can be asked at the same time.
	second, err := d.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan error, 1)
	go func() {
		var text string
		err := second.Eval(ctx, &text, `new Promise((heard) => { const c = new BroadcastChannel("tabs"); c.onmessage = (e) => heard(e.data); globalThis.ready = true })`)
		if err == nil && text != "hello" {
			err = errors.New(text)
		}
		heard <- err
	}()
	if err := second.Until(ctx, "globalThis.ready"); err != nil {
		t.Fatal(err)
	}
	if err := tab.Eval(ctx, nil, `new BroadcastChannel("tabs").postMessage("hello")`); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Errorf("from tab to tab: %v", err)
	}

	if err := tab.Eval(ctx, nil, `(() => { globalThis.mark = 1; setTimeout(() => { throw new Error("a page fails") }) })()`); err != nil {
		t.Fatal(err)
	}
	await(t, "the page's error", func() bool {
		for _, m := range tab.Messages() {
			if m.Kind == "exception" && strings.Contains(m.Text, "a page fails") {
				return true
			}
		}
		return false
	})
	if err := tab.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	fresh := false
	if err := tab.Eval(ctx, &fresh, "globalThis.mark === undefined"); err != nil || !fresh {
		t.Errorf("after a reload: %v, %v", fresh, err)
	}
	if err := tab.Go(ctx, url+"?next"); err != nil {
		t.Fatal(err)
	}
	if err := tab.Back(ctx); err != nil {
		t.Fatal(err)
	}
	await(t, "way back", func() bool {
		back := false
		return tab.Eval(ctx, &back, "location.search === ''") == nil && back
	})
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := second.Eval(ctx, nil, "1"); err == nil {
		t.Error("a closed tab answers")
	}
	if err := tab.Eval(ctx, nil, "1"); err != nil {
		t.Errorf("the other tab: %v", err)
	}
	if err := tab.Close(); err != nil {
		t.Error(err)
	}
}
