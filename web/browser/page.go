package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Page is a tab in a window of its own, or a worker.
type Page struct {
	browser *Browser
	ctx     context.Context // of chromedp
	close   context.CancelFunc
	worker  bool

	mu       sync.Mutex
	messages []Message
}

// Message is what a page or a worker has printed, or an error that nobody caught.
type Message struct {
	Kind string // "log", "warning", "error" …, or "exception"
	Text string
	From string // where it was printed, as URL:line
}

func (m Message) String() string { return fmt.Sprintf("%s: %s (%s)", m.Kind, m.Text, m.From) }

// Open opens a new tab with that URL and returns when it has loaded; an empty URL opens an empty one.
func (b *Browser) Open(ctx context.Context, url string) (*Page, error) {
	p, err := b.attach(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("browser: open %s: %w", url, err)
	}
	if url == "" {
		return p, nil
	}
	if err := p.Go(ctx, url); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Private opens an empty tab of a private window, another one each time: what it stores no other tab has, and it ends with the tab.
func (b *Browser) Private(ctx context.Context) (*Page, error) {
	p, err := b.attach(ctx, "", chromedp.WithNewBrowserContext())
	if err != nil {
		return nil, fmt.Errorf("browser: open a private window: %w", err)
	}
	return p, nil
}

// Worker returns the running target that match says yes to, to evaluate in it. Close of it leaves it running.
func (b *Browser) Worker(ctx context.Context, match func(Target) bool) (*Page, error) {
	targets, err := b.Targets(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if match(t) {
			return b.attach(ctx, target.ID(t.ID))
		}
	}
	return nil, fmt.Errorf("browser: none of %d targets is the one: %+v", len(targets), targets)
}

// attach makes a tab, or connects to a worker, and listens to it.
func (b *Browser) attach(ctx context.Context, worker target.ID, options ...chromedp.ContextOption) (*Page, error) {
	p := &Page{browser: b, worker: worker != ""}
	if p.worker {
		options = append(options, chromedp.WithTargetID(worker), chromedp.WithDetachOnCancel(), chromedp.WithListener(p.resume))
	}
	p.ctx, p.close = chromedp.NewContext(b.ctx, options...)
	stop := context.AfterFunc(ctx, p.close)
	defer stop()
	err := chromedp.Do(p.ctx)
	if err == nil {
		err = p.listen(p.ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *Page) add(m Message) {
	p.mu.Lock()
	p.messages = append(p.messages, m)
	p.mu.Unlock()
	p.browser.add(m)
}

func asMessage(m chromedp.ConsoleMessage) Message {
	text := m.Text
	if m.Stack != nil && (m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleError) {
		for _, frame := range m.Stack.CallFrames {
			text += fmt.Sprintf("\n    at %s (%s:%d:%d)", frame.FunctionName, frame.URL, frame.LineNumber+1, frame.ColumnNumber+1)
		}
	}
	return Message{Kind: string(m.Type), Text: text, From: fmt.Sprintf("%s:%d", m.URL, m.Line+1)}
}

// Messages returns what this page or worker itself has printed so far.
func (p *Page) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.messages...)
}

// Context returns the page's context for chromedp, for what this package does not have. It ends with the page.
func (p *Page) Context() context.Context { return p.ctx }

// Close closes the tab without asking the page; it returns when the tab is gone.
func (p *Page) Close() error {
	p.close()
	return nil
}

// Go loads a URL and returns when it has loaded.
func (p *Page) Go(ctx context.Context, url string) error {
	return p.do(ctx, "load "+url, chromedp.Navigate(url))
}

// Reload loads the page again and returns when it has loaded.
func (p *Page) Reload(ctx context.Context) error { return p.do(ctx, "reload", chromedp.Reload()) }

// Back goes back in the tab's history, and does not wait for the page.
func (p *Page) Back(ctx context.Context) error {
	return p.do(ctx, "go back", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		history, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		if history.CurrentIndex == 0 {
			return errors.New("there is no page before this one")
		}
		entry := history.Entries[history.CurrentIndex-1]
		_, err = cdp.Call(ctx, t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID})
		return err
	}))
}

// Crash ends the page's renderer process. The tab stays, and can be loaded again with Go.
func (p *Page) Crash(ctx context.Context) error {
	ctx, cancel := both(p.ctx, ctx)
	defer cancel()
	// It has no answer but the end of the target's process.
	crashed := cdp.Events(ctx, chromedp.FromContext(p.ctx).Target, inspector.TargetCrashed)
	go func() { _, _ = cdp.Call(ctx, chromedp.FromContext(p.ctx).Target, page.Crash, cdp.Empty{}) }()
	for _, err := range crashed {
		return p.explain(ctx, "crash", err)
	}
	return p.explain(ctx, "crash", ctx.Err())
}

// Freeze stops the page as a browser does with a tab in the background, or lets it go on.
func (p *Page) Freeze(ctx context.Context, frozen bool) error {
	state := page.SetWebLifecycleStateStateActive
	if frozen {
		state = page.SetWebLifecycleStateStateFrozen
	}
	return p.do(ctx, "freeze", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
		return err
	}))
}

// Offline takes the network away from this page or worker, or gives it back: requests fail, and navigator.onLine says so. The workers of a
// page have to be taken offline by themselves, and connections that stand may go on.
func (p *Page) Offline(ctx context.Context, offline bool) error {
	return p.do(ctx, "offline", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		everything := &network.Conditions{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1}
		if _, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{everything},
		}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, network.OverrideNetworkState, network.OverrideNetworkStateParams{
			Offline: offline, DownloadThroughput: -1, UploadThroughput: -1,
		})
		return err
	}))
}

// Do runs actions of chromedp in the page.
func (p *Page) Do(ctx context.Context, steps ...chromedp.Action[chromedp.Void]) error {
	return p.do(ctx, "act", steps...)
}

func (p *Page) do(ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := both(p.ctx, ctx)
	defer cancel()
	return p.explain(ctx, what, chromedp.Do(ctx, steps...))
}

// explain says what went wrong: the caller's own bound if that has ended.
func (p *Page) explain(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("browser: %s: %w", what, err)
}

// Eval evaluates an expression, awaits it if it is a promise, and decodes its value into what into points to, as JSON; nil takes nothing. An
// exception or a rejection is an *Exception.
func (p *Page) Eval(ctx context.Context, into any, expression string) error {
	ctx, cancel := both(p.ctx, ctx)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		var thrown *chromedp.ExceptionError
		if errors.As(err, &thrown) {
			return &Exception{Text: thrown.Error(), Expression: expression}
		}
		return p.explain(ctx, "evaluate "+brief(expression), err)
	}
	if into == nil {
		return nil
	}
	if value == nil {
		value = []byte("null") // undefined
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("browser: the value of %s: %w", brief(expression), err)
	}
	return nil
}

// Call calls a function, given as an expression, with arguments that cross as JSON; the rest is as with Eval.
func (p *Page) Call(ctx context.Context, into any, function string, args ...any) error {
	expression, err := call(function, args)
	if err != nil {
		return err
	}
	return p.Eval(ctx, into, expression)
}

// Until waits until an expression is true; it may be a promise. It asks again every few milliseconds, in the page.
func (p *Page) Until(ctx context.Context, expression string) error {
	return p.Eval(ctx, nil, until(expression))
}

// Exception is what an evaluated expression threw, or was rejected with.
type Exception struct {
	Text       string // with its stack
	Expression string
}

func (e *Exception) Error() string {
	return fmt.Sprintf("browser: %s threw: %s", brief(e.Expression), e.Text)
}

func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}
