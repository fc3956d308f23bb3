package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// listenToWorkers attaches to each worker that is started, whichever page or worker starts it, so that what it prints is kept. Service
// workers are left alone: one that is attached to neither falls asleep nor makes room for its successor, which changes what is tested.
// What they print is in Messages once Worker has attached to them.
func (b *Browser) listenToWorkers() error {
	started := chromedp.BrowserEvents(b.ctx, target.TargetCreated)
	if _, err := cdp.Call(b.ctx, b.session(), target.SetDiscoverTargets, target.SetDiscoverTargetsParams{Discover: true}); err != nil {
		return err
	}
	go func() {
		for event, err := range started {
			if err != nil {
				return
			}
			switch event.TargetInfo.Type {
			case "worker", "shared_worker":
				go func() {
					// One that ends before it is attached to has nothing left to be read.
					_, _ = b.attach(b.ctx, event.TargetInfo.TargetID)
				}()
			}
		}
	}()
	return nil
}

// listen keeps what p prints. Chromium repeats what was printed before to whoever enables the two domains, and chromedp has enabled them
// before anybody could subscribe: hence once more.
func (p *Page) listen(ctx context.Context) error {
	t := chromedp.FromContext(ctx).Target
	for _, command := range []string{runtime.CommandDisable, log.CommandDisable} {
		if err := t.Call(ctx, command, cdp.Empty{}, nil); err != nil {
			return err
		}
	}
	messages := chromedp.Console(p.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			// A page's log repeats what its workers print, who are listened to themselves.
			if m.Source != string(log.EntrySourceWorker) {
				p.add(asMessage(m))
			}
		}
	}()
	for _, command := range []string{runtime.CommandEnable, log.CommandEnable} {
		if err := t.Call(ctx, command, cdp.Empty{}, nil); err != nil {
			return err
		}
	}
	if p.worker {
		p.run() // it may have been started again while it was being attached to
	}
	return nil
}

// resume lets a worker run that was started again under the same name. Because somebody is attached to it, Chromium holds it until it is
// told.
func (p *Page) resume(event any) {
	if _, restarted := event.(*inspector.EventTargetReloadedAfterCrash); restarted {
		go p.run()
	}
}

func (p *Page) run() {
	_, _ = cdp.Call(p.ctx, chromedp.FromContext(p.ctx).Target, runtime.RunIfWaitingForDebugger, cdp.Empty{})
}
