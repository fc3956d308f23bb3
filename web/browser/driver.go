package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Kind is a browser engine.
type Kind string

// The kinds there are.
const (
	Chromium Kind = "chromium"
	Firefox  Kind = "firefox"
	WebKit   Kind = "webkit"
)

// Chosen returns the kind that $VSYNC_BROWSER names; Chromium if that is not set.
func Chosen() (Kind, error) {
	switch k := Kind(os.Getenv("VSYNC_BROWSER")); k {
	case "":
		return Chromium, nil
	case Chromium, Firefox, WebKit:
		return k, nil
	default:
		return "", fmt.Errorf("browser: VSYNC_BROWSER is %q: expected %s, %s or %s", k, Chromium, Firefox, WebKit)
	}
}

// Driver is a running browser of any kind. The methods are those of Browser, which can do more.
type Driver interface {
	Kind() Kind
	// Open opens a new tab with that URL and returns when it has loaded; an empty URL opens an empty one.
	Open(ctx context.Context, url string) (Tab, error)
	// Dir is where the browser keeps what is stored, unless it forgets everything: see Keeps.
	Dir() string
	// Keeps says that what was stored is there again when a browser is started on the same directory.
	Keeps() bool
	Done() <-chan struct{}
	Kill() error
	Close() error
}

// Tab is a tab of any kind of browser.
type Tab interface {
	Go(ctx context.Context, url string) error
	Reload(ctx context.Context) error
	// Back goes back in the tab's history. It returns at once: the page may be loaded anew, or come out of the back/forward cache.
	Back(ctx context.Context) error
	Eval(ctx context.Context, into any, expression string) error
	Call(ctx context.Context, into any, function string, args ...any) error
	Until(ctx context.Context, expression string) error
	Messages() []Message
	Close() error
}

// Drive starts a browser of a kind, like Start. Flags and Log of the options are Chromium's alone.
func Drive(ctx context.Context, kind Kind, o Options) (Driver, error) {
	switch kind {
	case Firefox:
		return startFirefox(ctx, o)
	case WebKit:
		return startWebKit(ctx, o)
	}
	b, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return b.Driver(), nil
}

// Driver returns the browser as one of any kind.
func (b *Browser) Driver() Driver { return chromium{b} }

// chromium is a Browser as a Driver.
type chromium struct{ *Browser }

func (c chromium) Kind() Kind { return Chromium }

func (c chromium) Keeps() bool { return true }

func (c chromium) Open(ctx context.Context, url string) (Tab, error) {
	p, err := c.Browser.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// AsChromium returns what only Chromium can do; nil for another kind.
func AsChromium(d Driver) *Browser {
	if c, is := d.(chromium); is {
		return c.Browser
	}
	return nil
}

// find returns a program: the one that a variable names, else the first of these that there is.
func find(variable, missing string, names ...string) (string, error) {
	if name := os.Getenv(variable); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("browser: %s is %q: %w: %s, or set %s right", variable, name, ErrMissing, missing, variable)
		}
		return path, nil
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("browser: none of %s is there: %w: %s, or set %s", strings.Join(names, ", "), ErrMissing, missing, variable)
}

// evaluate makes an expression one that gives JSON, as text, whatever its value is; a promise is awaited.
func evaluate(expression string) string {
	return "(async () => JSON.stringify((await (" + expression + "\n)) ?? null))()"
}

// decode takes what evaluate has given.
func decode(expression, text string, into any) error {
	if into == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("browser: the value of %s: %w", brief(expression), err)
	}
	return nil
}

// call makes an expression of a function and its arguments.
func call(function string, args []any) (string, error) {
	if args == nil {
		args = []any{}
	}
	list, err := json.Marshal(args)
	if err != nil {
		return "", fmt.Errorf("browser: arguments for %s: %w", brief(function), err)
	}
	return "(" + function + ")(..." + string(list) + ")", nil
}

// until makes an expression that waits until another one is true.
func until(expression string) string {
	return "(async () => { while (!(await (" + expression + "))) await new Promise((next) => setTimeout(next, 5)); })()"
}

// A program is a process with all that it starts, on a directory of its own.
type program struct {
	cmd       *exec.Cmd
	dir       string
	temporary bool
	gone      chan struct{}
}

// directory is where a browser keeps what is stored.
func directory(o Options, kind Kind) (dir string, temporary bool, err error) {
	if o.Dir != "" {
		return o.Dir, false, nil
	}
	dir, err = os.MkdirTemp("", "vsync-"+string(kind)+"-")
	if err != nil {
		err = fmt.Errorf("browser: %w", err)
	}
	return dir, true, err
}

// run starts the program.
func (p *program) run(cmd *exec.Cmd) error {
	p.cmd, p.gone = cmd, make(chan struct{})
	ownGroup(cmd)
	cmd.Cancel = nil // it is ended by Kill
	if err := cmd.Start(); err != nil {
		close(p.gone)
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(p.gone)
	}()
	return nil
}

func (p *program) Dir() string { return p.dir }

func (p *program) Done() <-chan struct{} { return p.gone }

// Kill ends all processes at once, and returns when they are gone. It keeps the directory.
func (p *program) Kill() error {
	pid := p.cmd.Process.Pid
	err := killGroup(pid)
	if err == nil {
		err = awaitGroup(pid, deathTime)
	}
	if err != nil {
		return fmt.Errorf("browser: kill process group %d: %w", pid, err)
	}
	<-p.gone
	return nil
}

// end kills what is left, and removes the directory if nobody named it.
func (p *program) end() error {
	err := p.Kill()
	if !p.temporary {
		return err
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// await waits for the end of the process, for a while.
func (p *program) await(limit time.Duration) {
	select {
	case <-p.gone:
	case <-time.After(limit):
	}
}
