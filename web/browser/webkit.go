package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often a page is asked for what a promise has become: WebDriver answers one question at a time, for all tabs.
const lookEvery = 15 * time.Millisecond

// webkit is WebKitGTK's MiniBrowser on a screen that nobody sees, driven over WebDriver. In automation it keeps all that is stored in
// memory, and forgets it with the process.
type webkit struct {
	program
	options Options
	screen  program
	session string // URL

	mu    sync.Mutex // of the session: which tab is talked to
	at    string     // that tab
	tabs  map[string]bool
	spare string // the tab that was there at the start; one has to stay
	life  sync.Once
}

func startWebKit(ctx context.Context, o Options) (Driver, error) {
	driver, err := find("WEBKIT_DRIVER", "install webkit2gtk-driver", "WebKitWebDriver")
	if err != nil {
		return nil, err
	}
	screen, err := find("XVFB", "install xvfb", "Xvfb")
	if err != nil {
		return nil, err
	}
	browsers, _ := filepath.Glob("/usr/lib/*/webkit2gtk-4.1/MiniBrowser")
	more, _ := filepath.Glob("/usr/lib*/webkit2gtk-4.1/MiniBrowser")
	mini, err := find("WEBKIT", "install webkit2gtk-driver", append(append(browsers, more...), "MiniBrowser")...)
	if err != nil {
		return nil, err
	}
	w := &webkit{options: o, tabs: map[string]bool{}}
	if w.dir, w.temporary, err = directory(o, WebKit); err != nil {
		return nil, err
	}
	if err := w.start(ctx, driver, screen, mini); err != nil {
		return nil, errors.Join(fmt.Errorf("browser: start %s on %s: %w", mini, w.dir, err), w.endAll())
	}
	return w, nil
}

func (w *webkit) start(ctx context.Context, driver, screen, mini string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("it did not answer within %v", startTime))
	defer cancel()
	display, err := w.startScreen(ctx, screen)
	if err != nil {
		return err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(driver, "-p", port)
	cmd.Env = append(os.Environ(), "DISPLAY=:"+display, "WEBKIT_DISABLE_COMPOSITING_MODE=1", "WEBKIT_DISABLE_DMABUF_RENDERER=1",
		"LIBGL_ALWAYS_SOFTWARE=1", "GDK_BACKEND=x11", "NO_AT_BRIDGE=1", "HOME="+w.dir, "XDG_RUNTIME_DIR="+w.dir, "GIO_USE_VFS=local", "GSETTINGS_BACKEND=memory")
	if w.options.Log != nil {
		cmd.Stdout, cmd.Stderr = w.options.Log, w.options.Log
	}
	if err := w.run(cmd); err != nil {
		return err
	}
	for !w.answers(ctx, address) {
		select {
		case <-w.gone:
			return errors.New("the driver has ended at once")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery): // nothing tells when it listens
		}
	}
	capabilities := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"webkitgtk:browserOptions": map[string]any{"binary": mini, "args": []string{"--automation"}},
	}}}
	var made struct{ SessionID string }
	if err := send(ctx, "POST", "http://"+address+"/session", capabilities, &made); err != nil {
		return err
	}
	w.session = "http://" + address + "/session/" + made.SessionID
	if err := send(ctx, "POST", w.session+"/timeouts", map[string]any{"script": 60_000, "pageLoad": 60_000}, nil); err != nil {
		return err
	}
	err = send(ctx, "GET", w.session+"/window", nil, &w.spare)
	w.at = w.spare
	return err
}

// startScreen starts an X server on the first number that is free.
func (w *webkit) startScreen(ctx context.Context, path string) (display string, err error) {
	r, number, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	cmd := exec.Command(path, "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{number}
	err = w.screen.run(cmd)
	number.Close()
	if err != nil {
		return "", err
	}
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(r, 16))
		said <- strings.TrimSpace(string(text))
	}()
	select {
	case display = <-said:
		if display == "" {
			return "", fmt.Errorf("%s gives no screen", path)
		}
		return display, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (w *webkit) answers(ctx context.Context, address string) bool {
	return send(ctx, "GET", "http://"+address+"/status", nil, nil) == nil
}

// driverError is what WebDriver refuses.
type driverError struct{ Kind, Text string }

func (e *driverError) Error() string { return e.Kind + ": " + e.Text }

// send says a command of WebDriver.
func send(ctx context.Context, method, url string, body, into any) error {
	var content io.Reader
	if method == "POST" {
		if body == nil {
			body = struct{}{}
		}
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	defer answer.Body.Close()
	var said struct{ Value json.RawMessage }
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&said); err != nil {
		return fmt.Errorf("%s: %w", answer.Status, err)
	}
	if answer.StatusCode != http.StatusOK {
		var wrong struct{ Error, Message string }
		_ = json.Unmarshal(said.Value, &wrong)
		return &driverError{wrong.Error, wrong.Message}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said.Value, into)
}

func (w *webkit) Kind() Kind { return WebKit }

func (w *webkit) Keeps() bool { return false }

// in says a command in a tab. A command that begins is not given up in the middle, or the session would be in two minds.
func (w *webkit) in(ctx context.Context, tab, method, path string, body, into any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTime)
	defer cancel()
	if w.at != tab {
		if err := send(ctx, "POST", w.session+"/window", map[string]any{"handle": tab}, nil); err != nil {
			return err
		}
		w.at = tab
	}
	return send(ctx, method, w.session+path, body, into)
}

func (w *webkit) Open(ctx context.Context, url string) (Tab, error) {
	var made struct{ Handle string }
	if err := w.in(ctx, w.spare, "POST", "/window/new", map[string]any{"type": "tab"}, &made); err != nil {
		return nil, fmt.Errorf("browser: open %s: %w", url, err)
	}
	w.mu.Lock()
	w.tabs[made.Handle] = true
	w.mu.Unlock()
	tab := &webkitTab{w: w, handle: made.Handle}
	if url == "" {
		return tab, nil
	}
	if err := tab.Go(ctx, url); err != nil {
		return nil, errors.Join(err, tab.Close())
	}
	return tab, nil
}

func (w *webkit) Close() (err error) {
	w.life.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		_ = send(ctx, "DELETE", w.session, nil, nil) // what does not close is killed
		err = w.endAll()
	})
	return err
}

func (w *webkit) endAll() (err error) {
	if w.cmd != nil && w.cmd.Process != nil {
		err = w.end()
	}
	if w.screen.cmd != nil && w.screen.cmd.Process != nil {
		err = errors.Join(err, w.screen.Kill())
	}
	return err
}

// webkitTab is a tab of WebKit. What it prints is not told by WebDriver, so the pages themselves are made to remember what nobody caught.
type webkitTab struct {
	w      *webkit
	handle string
	last   int
	printed
}

func (t *webkitTab) do(ctx context.Context, method, path string, body, into any) error {
	if err := t.w.in(ctx, t.handle, method, path, body, into); err != nil {
		return fmt.Errorf("browser: %s: %w", strings.TrimPrefix(path, "/"), err)
	}
	return nil
}

func (t *webkitTab) Go(ctx context.Context, url string) error {
	if err := t.do(ctx, "POST", "/url", map[string]any{"url": url}, nil); err != nil {
		return err
	}
	return t.remember(ctx)
}

func (t *webkitTab) Reload(ctx context.Context) error {
	if err := t.do(ctx, "POST", "/refresh", nil, nil); err != nil {
		return err
	}
	return t.remember(ctx)
}

func (t *webkitTab) Back(ctx context.Context) error { return t.do(ctx, "POST", "/back", nil, nil) }

// remember keeps what nobody catches in the page.
func (t *webkitTab) remember(ctx context.Context) error {
	return t.script(ctx, nil, `if (window.__vsync) return;
		const said = [];
		window.__vsync = { said, results: {} };
		const text = (err) => String(err) + (err && err.stack ? "\n" + err.stack : "");
		addEventListener("error", (event) => said.push("Uncaught " + (event.error ? text(event.error) : event.message)));
		addEventListener("unhandledrejection", (event) => said.push("Uncaught (in promise) " + text(event.reason)));`)
}

func (t *webkitTab) script(ctx context.Context, into any, body string, args ...any) error {
	if args == nil {
		args = []any{}
	}
	return t.do(ctx, "POST", "/execute/sync", map[string]any{"script": body, "args": args}, into)
}

func (t *webkitTab) Messages() []Message {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	t.w.mu.Lock()
	open := t.w.tabs[t.handle]
	t.w.mu.Unlock()
	var said []string
	if open && t.script(ctx, &said, "return window.__vsync ? window.__vsync.said.splice(0) : []") == nil {
		for _, text := range said {
			t.add(Message{Kind: "exception", Text: text})
		}
	}
	return t.printed.Messages()
}

func (t *webkitTab) Close() error {
	_ = t.Messages() // the last ones
	t.w.mu.Lock()
	open := t.w.tabs[t.handle]
	delete(t.w.tabs, t.handle)
	t.w.mu.Unlock()
	if !open {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := t.do(ctx, "DELETE", "/window", nil, nil)
	t.w.mu.Lock()
	t.w.at = "" // none
	t.w.mu.Unlock()
	select {
	case <-t.w.gone:
		return nil
	default:
		return err
	}
}

// Eval leaves a promise in the page, and asks until it is settled: others are to be heard meanwhile.
func (t *webkitTab) Eval(ctx context.Context, into any, expression string) error {
	if err := t.remember(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	t.last++
	n := t.last
	t.mu.Unlock()
	err := t.script(ctx, nil, `const results = window.__vsync.results, n = arguments[0];
		results[n] = {};
		const text = (err) => String(err) + (err && err.stack ? "\n" + err.stack : "");
		let value;
		try { value = (0, eval)(arguments[1]) } catch (err) { results[n] = { thrown: text(err) }; return }
		value.then((done) => { results[n] = { done } }, (err) => { results[n] = { thrown: text(err) } });`, n, evaluate(expression))
	if err != nil {
		return err
	}
	for {
		var got *struct{ Done, Thrown *string }
		err := t.script(ctx, &got, `const results = window.__vsync && window.__vsync.results, result = results && results[arguments[0]];
			if (!result) return null;
			if ("done" in result || "thrown" in result) delete results[arguments[0]];
			return result;`, n)
		switch {
		case err != nil:
			return err
		case got == nil:
			return fmt.Errorf("browser: evaluate %s: the page is another one since", brief(expression))
		case got.Thrown != nil:
			return &Exception{Text: *got.Thrown, Expression: expression}
		case got.Done != nil:
			return decode(expression, *got.Done, into)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("browser: evaluate %s: %w", brief(expression), context.Cause(ctx))
		case <-time.After(lookEvery):
		}
	}
}

func (t *webkitTab) Call(ctx context.Context, into any, function string, args ...any) error {
	expression, err := call(function, args)
	if err != nil {
		return err
	}
	return t.Eval(ctx, into, expression)
}

func (t *webkitTab) Until(ctx context.Context, expression string) error {
	return t.Eval(ctx, nil, until(expression))
}
