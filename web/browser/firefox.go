package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// preferences make Firefox leave the network alone, and keep tabs that are not looked at as fast as others.
var preferences = map[string]any{
	"app.normandy.enabled":                                       false,
	"app.update.auto":                                            false,
	"app.update.disabledForTesting":                              true,
	"browser.aboutwelcome.enabled":                               false,
	"browser.cache.disk.enable":                                  false,
	"browser.safebrowsing.malware.enabled":                       false,
	"browser.safebrowsing.phishing.enabled":                      false,
	"browser.safebrowsing.downloads.remote.enabled":              false,
	"browser.search.update":                                      false,
	"browser.sessionstore.resume_from_crash":                     false,
	"browser.shell.checkDefaultBrowser":                          false,
	"browser.startup.homepage_override.mstone":                   "ignore",
	"browser.startup.page":                                       0,
	"browser.topsites.contile.enabled":                           false,
	"browser.newtabpage.activity-stream.feeds.topsites":          false,
	"browser.newtabpage.enabled":                                 false,
	"datareporting.healthreport.uploadEnabled":                   false,
	"datareporting.policy.dataSubmissionEnabled":                 false,
	"dom.ipc.processHangMonitor":                                 false,
	"dom.min_background_timeout_value":                           4,
	"dom.min_background_timeout_value_without_budget_throttling": 4,
	"dom.timeout.enable_budget_timer_throttling":                 false,
	"dom.push.connection.enabled":                                false,
	"dom.disable_open_during_load":                               false,
	"extensions.getAddons.cache.enabled":                         false,
	"extensions.systemAddon.update.enabled":                      false,
	"extensions.update.enabled":                                  false,
	"extensions.blocklist.enabled":                               false,
	"network.captive-portal-service.enabled":                     false,
	"network.connectivity-service.enabled":                       false,
	"network.dns.disablePrefetch":                                true,
	"network.prefetch-next":                                      false,
	"remote.prefs.recommended":                                   true,
	"security.remote_settings.crlite_filters.enabled":            false,
	"services.settings.server":                                   "data:,#remote-settings-dummy/v1",
	"signon.rememberSignons":                                     false,
	"toolkit.cosmeticAnimations.enabled":                         false,
	"toolkit.telemetry.server":                                   "data:,",
	"toolkit.startup.max_resumed_crashes":                        -1,
}

// firefox is Firefox, driven over WebDriver BiDi.
type firefox struct {
	program
	options Options
	bidi    *bidi

	mu   sync.Mutex
	tabs map[string]*firefoxTab // by context
	life sync.Once
}

func startFirefox(ctx context.Context, o Options) (Driver, error) {
	path, err := find("FIREFOX", "install firefox-esr", "firefox-esr", "firefox")
	if err != nil {
		return nil, err
	}
	f := &firefox{options: o, tabs: map[string]*firefoxTab{}}
	if f.dir, f.temporary, err = directory(o, Firefox); err != nil {
		return nil, err
	}
	if err := f.start(ctx, path); err != nil {
		if f.cmd != nil && f.cmd.Process != nil {
			err = errors.Join(err, f.end())
		}
		return nil, fmt.Errorf("browser: start %s on %s: %w", path, f.dir, err)
	}
	return f, nil
}

func (f *firefox) start(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("it did not answer within %v", startTime))
	defer cancel()
	if err := os.WriteFile(filepath.Join(f.dir, "user.js"), userJS(), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--new-instance", "--remote-debugging-port=0", "--profile", f.dir)
	cmd.Env = append(os.Environ(), "MOZ_CRASHREPORTER_DISABLE=1", "HOME="+f.dir)
	says, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := f.run(cmd); err != nil {
		return err
	}
	address, err := f.address(ctx, says)
	if err != nil {
		return err
	}
	if f.bidi, err = dialBiDi(ctx, address+"/session", f.event); err != nil {
		return err
	}
	if err := f.bidi.call(ctx, nil, "session.new", map[string]any{"capabilities": map[string]any{}}); err != nil {
		return err
	}
	return f.bidi.call(ctx, nil, "session.subscribe", map[string]any{"events": []string{"log.entryAdded"}})
}

// address waits until Firefox says where it listens; all that it prints behind that is dropped.
func (f *firefox) address(ctx context.Context, says io.Reader) (string, error) {
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			if _, address, is := strings.Cut(lines.Text(), "WebDriver BiDi listening on "); is {
				found <- strings.TrimSpace(address)
			}
		}
		_, _ = io.Copy(io.Discard, says)
	}()
	select {
	case address := <-found:
		return address, nil
	case <-f.gone:
		return "", errors.New("it has ended at once")
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func userJS() []byte {
	var js strings.Builder
	for name, value := range preferences {
		v, _ := json.Marshal(value)
		fmt.Fprintf(&js, "user_pref(%q, %s);\n", name, v)
	}
	return []byte(js.String())
}

// event takes what pages print.
func (f *firefox) event(method string, params json.RawMessage) {
	var said struct {
		Level, Text, Type, Method string
		Source                    struct{ Context string }
		StackTrace                struct {
			CallFrames []struct {
				FunctionName, URL        string
				LineNumber, ColumnNumber int
			}
		}
	}
	if method != "log.entryAdded" || json.Unmarshal(params, &said) != nil {
		return
	}
	m := Message{Kind: said.Method, Text: said.Text}
	if said.Type == "javascript" && said.Level == "error" {
		m.Kind = "exception"
		m.Text = "Uncaught " + said.Text
	}
	for i, frame := range said.StackTrace.CallFrames {
		if i == 0 {
			m.From = fmt.Sprintf("%s:%d", frame.URL, frame.LineNumber+1)
		}
		if m.Kind == "exception" {
			m.Text += fmt.Sprintf("\n    at %s (%s:%d:%d)", frame.FunctionName, frame.URL, frame.LineNumber+1, frame.ColumnNumber+1)
		}
	}
	f.mu.Lock()
	tab := f.tabs[said.Source.Context]
	f.mu.Unlock()
	if tab != nil {
		tab.add(m)
	}
	if f.options.Console != nil {
		f.options.Console(m)
	}
}

func (f *firefox) Kind() Kind { return Firefox }

func (f *firefox) Keeps() bool { return true }

func (f *firefox) Open(ctx context.Context, url string) (Tab, error) {
	var made struct{ Context string }
	if err := f.bidi.call(ctx, &made, "browsingContext.create", map[string]any{"type": "tab"}); err != nil {
		return nil, fmt.Errorf("browser: open %s: %w", url, err)
	}
	tab := &firefoxTab{f: f, context: made.Context}
	f.mu.Lock()
	f.tabs[made.Context] = tab
	f.mu.Unlock()
	if url == "" {
		return tab, nil
	}
	if err := tab.Go(ctx, url); err != nil {
		return nil, errors.Join(err, tab.Close())
	}
	return tab, nil
}

func (f *firefox) Close() (err error) {
	f.life.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if f.bidi.call(ctx, nil, "browser.close", map[string]any{}) == nil {
			f.await(closeTime)
		}
		f.bidi.close()
		err = f.end()
	})
	return err
}

// firefoxTab is a tab of Firefox.
type firefoxTab struct {
	f       *firefox
	context string
	printed
}

// printed is what a tab has printed.
type printed struct {
	mu       sync.Mutex
	messages []Message
}

func (l *printed) add(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, m)
}

func (l *printed) Messages() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Message(nil), l.messages...)
}

func (t *firefoxTab) do(ctx context.Context, method string, params map[string]any) error {
	params["context"] = t.context
	if err := t.f.bidi.call(ctx, nil, method, params); err != nil {
		return fmt.Errorf("browser: %s: %w", method, err)
	}
	return nil
}

func (t *firefoxTab) Go(ctx context.Context, url string) error {
	return t.do(ctx, "browsingContext.navigate", map[string]any{"url": url, "wait": "complete"})
}

func (t *firefoxTab) Reload(ctx context.Context) error {
	return t.do(ctx, "browsingContext.reload", map[string]any{"wait": "complete"})
}

func (t *firefoxTab) Back(ctx context.Context) error {
	return t.do(ctx, "browsingContext.traverseHistory", map[string]any{"delta": -1})
}

func (t *firefoxTab) Close() error {
	t.f.mu.Lock()
	_, open := t.f.tabs[t.context]
	delete(t.f.tabs, t.context)
	t.f.mu.Unlock()
	if !open {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := t.do(ctx, "browsingContext.close", map[string]any{})
	select {
	case <-t.f.bidi.done: // with the browser
		return nil
	default:
		return err
	}
}

func (t *firefoxTab) Eval(ctx context.Context, into any, expression string) error {
	var got struct {
		Type   string
		Result struct {
			Type  string
			Value json.RawMessage
		}
		ExceptionDetails struct {
			Text       string
			StackTrace struct {
				CallFrames []struct {
					FunctionName, URL string
					LineNumber        int
				}
			}
		}
	}
	err := t.f.bidi.call(ctx, &got, "script.evaluate", map[string]any{
		"expression": evaluate(expression), "target": map[string]any{"context": t.context}, "awaitPromise": true,
	})
	if err != nil {
		return fmt.Errorf("browser: evaluate %s: %w", brief(expression), err)
	}
	if got.Type != "success" {
		text := got.ExceptionDetails.Text
		for _, frame := range got.ExceptionDetails.StackTrace.CallFrames {
			text += fmt.Sprintf("\n    at %s (%s:%d)", frame.FunctionName, frame.URL, frame.LineNumber+1)
		}
		return &Exception{Text: text, Expression: expression}
	}
	var text string
	if err := json.Unmarshal(got.Result.Value, &text); err != nil {
		return fmt.Errorf("browser: the value of %s is %s: %w", brief(expression), got.Result.Value, err)
	}
	return decode(expression, text, into)
}

func (t *firefoxTab) Call(ctx context.Context, into any, function string, args ...any) error {
	expression, err := call(function, args)
	if err != nil {
		return err
	}
	return t.Eval(ctx, into, expression)
}

func (t *firefoxTab) Until(ctx context.Context, expression string) error {
	return t.Eval(ctx, nil, until(expression))
}
