// Package browser runs headless Chromium for tests: it starts it on a directory of its own, opens pages, evaluates JavaScript in them and
// in their workers, keeps what they print, kills the whole of it as a crash would, and starts it again on the same directory.
//
//	b, err := browser.Start(ctx, browser.Options{Dir: t.TempDir()})
//	defer b.Close()
//	page, err := b.Open(ctx, "http://localhost:8787/")
//	var title string
//	err = page.Eval(ctx, &title, "document.title")               // a promise is awaited
//	err = page.Call(ctx, nil, "(k, v) => db.put(k, v)", "a", 1)  // arguments cross as JSON
//	err = page.Until(ctx, "document.readyState === 'complete'")
//	err = b.Kill()                                               // SIGKILL for all of its processes
//	b, err = browser.Start(ctx, browser.Options{Dir: b.Dir()})   // what was stored is there again
//
// What a context of a call bounds is the call: a Browser lives until Close or Kill, or until its own process ends.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// ErrMissing: there is no Chromium on this machine.
var ErrMissing = errors.New("install chromium, or set CHROMIUM")

// How long the parts of a browser's life may take, on a machine that is busy.
const (
	startTime = 3 * time.Minute  // the first start on a new directory is the slow one, and machines have other things to do
	closeTime = 10 * time.Second // then it is killed
	deathTime = 10 * time.Second // for processes that were killed to be gone
)

// Options say how to start. The zero value works.
type Options struct {
	// Dir is the user data directory; empty: one that Close removes.
	Dir string
	// Flags are more flags for the command line, as "name" or "name=value".
	Flags []string
	// Log gets what Chromium itself prints; nil: nobody.
	Log io.Writer
	// Console is called with each message of a page or worker as it comes, from any goroutine; nil: nobody. It has to return soon.
	Console func(Message)
}

// flags make Chromium leave the machine and the network alone, and keep pages that are not looked at as fast as others.
var flags = []string{
	"headless=new",
	"disable-gpu",
	"disable-quic",
	"no-first-run",
	"no-default-browser-check",
	"disable-background-networking",
	"disable-component-update",
	"disable-sync",
	"disable-breakpad",
	"disable-extensions",
	"disable-default-apps",
	"disable-dev-shm-usage",
	"disable-background-timer-throttling",
	"disable-backgrounding-occluded-windows",
	"disable-renderer-backgrounding",
	"disable-hang-monitor",
	"disable-features=Translate,MediaRouter,OptimizationHints",
	"metrics-recording-only",
	"password-store=basic",
	"use-mock-keychain",
}

// Find returns the program: $CHROMIUM if that is set, else Chromium or Chrome from PATH. An error wraps ErrMissing.
func Find() (string, error) {
	if name := os.Getenv("CHROMIUM"); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("browser: CHROMIUM is %q: %w: %w", name, err, ErrMissing)
		}
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("browser: there is no Chromium in PATH: %w", ErrMissing)
}

// Browser is one running Chromium.
type Browser struct {
	options   Options
	temporary bool // Dir is ours

	ctx  context.Context // of chromedp; ends with the browser
	stop context.CancelFunc
	pid  int

	mu       sync.Mutex
	messages []Message
	ended    bool
}

// Start starts Chromium. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	b := &Browser{options: o}
	if o.Dir == "" {
		if b.options.Dir, err = os.MkdirTemp("", "vsync-chromium-"); err != nil {
			return nil, fmt.Errorf("browser: %w", err)
		}
		b.temporary = true
	}
	if err := b.start(ctx, path); err != nil {
		b.end()
		return nil, fmt.Errorf("browser: start %s on %s: %w", path, b.options.Dir, err)
	}
	return b, nil
}

func (b *Browser) start(ctx context.Context, path string) error {
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.UserDataDir(b.options.Dir),
		chromedp.ModifyCmdFunc(ownGroup),
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	for _, flag := range append(flags[:len(flags):len(flags)], b.options.Flags...) {
		name, value, valued := strings.Cut(flag, "=")
		if valued {
			options = append(options, chromedp.Flag(name, value))
		} else {
			options = append(options, chromedp.Flag(name, true))
		}
	}
	if b.options.Log != nil {
		options = append(options, chromedp.CombinedOutput(b.options.Log))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	quiet := func(string, ...any) {} // what chromedp cannot read of a newer Chromium concerns nobody
	b.ctx, b.stop = chromedp.NewContext(allocator, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	inner := b.stop
	b.stop = func() { stop(); inner() }

	bound, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("it did not answer within %v", startTime))
	defer cancel()
	release := context.AfterFunc(bound, stop)
	if err := chromedp.Do(b.ctx); err != nil {
		if bound.Err() != nil {
			err = context.Cause(bound)
		}
		return err
	}
	if !release() {
		return context.Cause(bound)
	}
	b.pid = b.session().Process().Pid
	return b.listenToWorkers()
}

func (b *Browser) session() *chromedp.Browser { return chromedp.FromContext(b.ctx).Browser }

// PID returns the process id of Chromium's main process.
func (b *Browser) PID() int { return b.pid }

// Memory is what all processes of this browser hold in memory together, in bytes.
func (b *Browser) Memory() (int64, error) {
	bytes, err := groupMemory(b.pid)
	if err != nil {
		return 0, fmt.Errorf("browser: memory of process group %d: %w", b.pid, err)
	}
	return bytes, nil
}

// Dir returns the user data directory.
func (b *Browser) Dir() string { return b.options.Dir }

// Done is closed when the browser has ended, by whatever.
func (b *Browser) Done() <-chan struct{} { return b.ctx.Done() }

// Messages returns what pages and workers have printed since the start, in the order in which it arrived.
func (b *Browser) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Message(nil), b.messages...)
}

func (b *Browser) add(m Message) {
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	if b.options.Console != nil {
		b.options.Console(m)
	}
}

// Kill ends Chromium as a crash does: SIGKILL for all of its processes at once. It returns when they are gone, so that the directory can be
// used again; it keeps the directory, a temporary one too.
func (b *Browser) Kill() error {
	if !b.alive() {
		return nil
	}
	err := killGroup(b.pid)
	b.stop()
	if err == nil {
		err = awaitGroup(b.pid, deathTime)
	}
	if err != nil {
		return fmt.Errorf("browser: kill process group %d: %w", b.pid, err)
	}
	return nil
}

// alive says whether the browser is still to be ended, by this caller.
func (b *Browser) alive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.ended
	b.ended = true
	return !was
}

// Close ends Chromium as its user does, and removes the directory if nobody named it.
func (b *Browser) Close() error {
	var err error
	if b.alive() {
		bound, cancel := context.WithTimeout(b.ctx, closeTime)
		defer cancel()
		_ = chromedp.Cancel(bound) // what does not close is killed
		_ = killGroup(b.pid)
		if err = awaitGroup(b.pid, deathTime); err != nil {
			err = fmt.Errorf("browser: close: process group %d: %w", b.pid, err)
		}
	}
	return errors.Join(err, b.end())
}

func (b *Browser) end() error {
	if b.stop != nil {
		b.stop()
	}
	if !b.temporary {
		return nil
	}
	return os.RemoveAll(b.options.Dir)
}

// Target is something that runs JavaScript, a page or a worker.
type Target struct {
	ID   string
	Type string // "page", "worker", "shared_worker", "service_worker" …
	URL  string
	Name string // title of a page, name of a worker
}

// Targets returns what runs now.
func (b *Browser) Targets(ctx context.Context) ([]Target, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	got, err := cdp.Call(ctx, b.session(), target.GetTargets, target.GetTargetsParams{})
	if err != nil {
		return nil, fmt.Errorf("browser: targets: %w", err)
	}
	var list []Target
	for _, info := range got.TargetInfos {
		list = append(list, asTarget(info))
	}
	return list, nil
}

func asTarget(info *target.Info) Target {
	return Target{ID: string(info.TargetID), Type: info.Type, URL: info.URL, Name: info.Title}
}

// CloseTarget ends a page or a worker at once, without asking it.
func (b *Browser) CloseTarget(ctx context.Context, id string) error {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if _, err := cdp.Call(ctx, b.session(), target.CloseTarget, target.CloseTargetParams{TargetID: target.ID(id)}); err != nil {
		return fmt.Errorf("browser: close target %s: %w", id, err)
	}
	return nil
}

// bound returns the browser's context, which chromedp wants, ended by the caller's too.
func (b *Browser) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return both(b.ctx, ctx)
}

func both(ours, theirs context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ours)
	stop := context.AfterFunc(theirs, func() { cancel(context.Cause(theirs)) })
	return ctx, func() { stop(); cancel(nil) }
}
