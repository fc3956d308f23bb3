package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"vsync/edge/e2e/program"
	"vsync/web/browser"
)

// The page that the hub itself serves, as people use it: real keys, and only what the page shows is looked at.

// finders are what the tests find things with, by what is written on them.
const finders = `void Object.assign(globalThis, {
	card: (text) => [...document.querySelectorAll('.slot')].find((slot) => slot.textContent.includes(text)),
	list: (title) => [...document.querySelectorAll('.column')].find((column) => column.querySelector('h2').textContent === title),
	inList: (title) => [...(list(title)?.querySelectorAll('.card-face') ?? [])].map((face) => face.textContent),
	button: (text, root = document) => [...root.querySelectorAll('button')].filter((b) => b.textContent.includes(text)).at(-1),
	text: (selector) => document.querySelector(selector)?.textContent.trim() ?? '',
	shown: (selector) => document.querySelector(selector)?.checkVisibility() ?? false,
	word: () => text('#status-word'),
	focus: () => document.activeElement?.textContent || document.activeElement?.getAttribute('aria-label') || '',
})`

// A reader is somebody at the page.
type reader struct{ *tab }

// table is a hub of its own, whose page nobody has opened yet.
func table(t *testing.T) *program.Hub {
	t.Helper()
	hub := program.Serve(t, t.TempDir())
	t.Cleanup(func() {
		for _, d := range []*device{anna, bert} {
			endWorkers(d, "http://"+hub.Addr()+"/")
		}
	})
	return hub
}

// endWorkers ends the engines of an origin, which live on for a while after its last page.
func endWorkers(d *device, origin string) {
	if d.Driver == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b := browser.AsChromium(d.Driver)
	if b == nil {
		return
	}
	targets, _ := b.Targets(ctx) // a browser that is gone has none
	for _, target := range targets {
		if target.Type == "shared_worker" && strings.HasPrefix(target.URL, origin) {
			_ = b.CloseTarget(ctx, target.ID) // it may have ended meanwhile
		}
	}
}

// sit opens the page on a device, and waits for it to be in sync.
func sit(t *testing.T, d *device, hub *program.Hub) *reader {
	t.Helper()
	p := &reader{bareTab(t, d, "http://"+hub.Addr()+"/")}
	p.look()
	p.sees(`word() === 'Live'`)
	return p
}

// look gives the page the finders again, as after a reload.
func (p *reader) look() {
	p.t.Helper()
	if err := p.Eval(soon(p.t), nil, finders); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits for something to be so.
func (p *reader) sees(expression string, args ...any) {
	p.t.Helper()
	expression = fmt.Sprintf(expression, args...)
	if err := p.Until(soon(p.t), expression); err != nil {
		var there string
		_ = p.Eval(soon(p.t), &there, "document.body.innerText.replace(/\\s+/g, ' ').slice(0, 1500)")
		p.t.Fatalf("%s does not see %s: %v\n    there is: %s%s", p.name, expression, err, there, p.printed())
	}
}

// does evaluates something in the page.
func (p *reader) does(expression string, args ...any) {
	p.t.Helper()
	if err := p.Eval(soon(p.t), nil, fmt.Sprintf("void (%s)", fmt.Sprintf(expression, args...))); err != nil {
		p.t.Fatalf("%s: %v%s", p.name, err, p.printed())
	}
}

// press presses keys, one after the other.
func (p *reader) press(keys string, with ...chromedp.Modifier) {
	p.t.Helper()
	if err := p.chromium().Do(soon(p.t), chromedp.KeyEvent(keys, chromedp.KeyModifiers(with...))); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// pastes inserts a text in one piece: as keys, a long one takes a minute on a machine that has other things to do.
func (p *reader) pastes(text string) {
	p.t.Helper()
	err := p.chromium().Do(soon(p.t), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
	if err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// shortcut presses a key that means something to the page. What a page prevents types nothing: there is no character.
func (p *reader) shortcut(key rune) {
	p.t.Helper()
	err := p.chromium().Do(soon(p.t), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, event := range kb.Encode(key) {
			if event.Type == kb.KeyChar {
				continue
			}
			if _, err := cdp.Call(ctx, target, input.DispatchKeyEvent, *event); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// opens opens a card with the keyboard, with the title in focus.
func (p *reader) opens(card string) {
	p.t.Helper()
	p.sees(`card(%q)`, card)
	p.does(`card(%q).querySelector('button').focus()`, card)
	p.press(kb.Enter)
	p.sees(`shown('#sheet') && focus() === 'Title'`)
}

// samples fills the empty board of a page.
func (p *reader) samples() {
	p.t.Helper()
	p.sees(`shown('.welcome')`)
	p.does(`button('Fill in sample cards').click()`)
	p.sees(`inList('To do').length === 5 && inList('Done').length === 2`)
}

// TestPeopleSeeEachOther: what one writes the other one sees as it is typed, with the name of the other device; a second tab is
// the same device; what is deleted can be had back.
func TestPeopleSeeEachOther(t *testing.T) {
	hub := table(t)
	a, b := sit(t, anna, hub), sit(t, bert, hub)
	a.samples()
	b.sees(`card('Repair the bicycle')`)

	a.opens("Repair the bicycle")
	a.press(kb.End + " today")
	b.sees(`card('Repair the bicycle today')?.querySelector('.who')?.textContent.length > 3`)
	a.sees(`text('.saved') === 'At the hub'`)
	a.press(kb.Escape)
	a.sees(`!shown('#sheet') && focus() === 'Repair the bicycle today'`)

	second := sit(t, anna, hub)
	second.sees(`card('Repair the bicycle today')`)
	a.does(`document.querySelector('#offline').click()`)
	second.sees(`word() === 'Offline'`)
	second.does(`document.querySelector('#offline').click()`)
	a.sees(`word() === 'Live'`)

	a.press(kb.Delete)
	b.sees(`!card('Repair the bicycle')`)
	a.sees(`text('#toasts').includes('Deleted')`)
	a.shortcut('z')
	b.sees(`inList('Done')[0] === 'Repair the bicycle today'`)
}

// TestPeopleDisagree: two change a card while neither knows of the other. Both see it, one keeps both changes, and goes back to
// an early version afterwards.
func TestPeopleDisagree(t *testing.T) {
	hub := table(t)
	a, b := sit(t, anna, hub), sit(t, bert, hub)
	a.samples()
	b.sees(`card('Repair the bicycle')`)
	for _, p := range []*reader{a, b} {
		p.shortcut('o')
		p.sees(`word() === 'Offline' && document.querySelector('#offline').ariaChecked === 'true'`)
	}
	a.opens("Repair the bicycle")
	a.press(kb.End + " of anna" + kb.Escape)
	a.sees(`text('#status-pending') === '1↑'`)
	b.opens("Repair the bicycle")
	b.press(kb.Enter + "A note of bert" + kb.Escape)
	b.sees(`text('#status-pending') === '1↑'`)
	for _, p := range []*reader{a, b} {
		p.shortcut('o')
	}
	for _, p := range []*reader{a, b} {
		p.sees(`word() === 'Live' && shown('#conflicts') && text('#conflicts-count') === '1'`)
	}
	a.opens("Repair the bicycle")
	a.sees(`document.querySelectorAll('.sidecard').length === 3`)
	a.does(`button('Keep both').click()`)
	for _, p := range []*reader{a, b} {
		p.sees(`!shown('#conflicts') && card('Repair the bicycle of anna')?.textContent.includes('A note of bert')`)
	}
	// Newest first: the choice, the two sides, the beginning.
	a.sees(`document.querySelectorAll('.version').length === 4 && text('.version').includes('Joined the versions')`)
	a.does(`button('Go back to this', [...document.querySelectorAll('.version')].at(-1)).click()`)
	b.sees(`inList('Done')[0] === 'Repair the bicycle' && !card('A note of bert')`)
	a.sees(`document.querySelectorAll('.version').length === 5`)
}

// TestPeopleWithoutTheHub: while the hub is gone, people go on, also after a reload, though it was the hub that served the page; the
// page says how it is in words, and what they wrote arrives when the hub is there again. What another one did meanwhile is told to whoever comes back.
func TestPeopleWithoutTheHub(t *testing.T) {
	hub := table(t)
	a, b := sit(t, anna, hub), sit(t, bert, hub)
	a.samples()
	b.sees(`card('Repair the bicycle')`)
	b.does(`document.querySelector('#activity-button').click()`)
	b.sees(`text('.events').includes('added 3 lists, added 10 cards')`)
	b.close()

	a.sees(`navigator.serviceWorker?.controller`)
	hub.Die()
	a.sees(`word() === 'No connection'`)
	if err := a.Reload(soon(t)); err != nil {
		t.Fatal(err)
	}
	a.look()
	a.opens("Repair the bicycle")
	a.press(kb.End + " alone" + kb.Escape)
	a.sees(`card('Repair the bicycle alone') && text('#status-pending') === '1↑'`)
	a.does(`document.querySelector('#status-button').click()`)
	a.sees(`/1 change is kept here and sent later/.test(text('#status .detail'))`)
	hub.Start()
	a.sees(`word() === 'Live' && text('#status-pending') === ''`)

	b = sit(t, bert, hub)
	b.sees(`card('Repair the bicycle alone')`)
	b.does(`shown('#activity') || document.querySelector('#activity-button').click()`)
	b.sees(`text('.event').replace(/[\u2068\u2069]/g, '').includes('renamed “Repair the bicycle” to “Repair the bicycle alone”')`)
}

// TestThousandsOfCards: they come as one batch, only those in sight are in the document, and all can be reached and searched.
func TestThousandsOfCards(t *testing.T) {
	hub := table(t)
	a, b := sit(t, anna, hub), sit(t, bert, hub)
	a.does(`button('5,000 cards').click()`)
	b.sees(`text('.column .number') === '5,000'`)
	b.sees(`text('.column .column-top').startsWith('5,000 cards')`)
	b.sees(`document.querySelectorAll('.slot').length > 3 && document.querySelectorAll('.slot').length < 60`)
	b.sees(`document.querySelector('.slot').ariaSetSize === '5000'`)
	a.sees(`/5,000 cards stored in .* at the hub after/.test(text('#toasts'))`)

	b.does(`document.querySelector('.card-face').focus()`)
	b.press(kb.End)
	b.sees(`document.activeElement.closest('.slot')?.ariaPosInSet === '5000' && document.querySelectorAll('.slot').length < 60`)
	b.shortcut('/')
	b.press("No. 4999")
	b.sees(`text('#found') === '1 found' && inList('5,000 cards').length === 1`)
	b.press(kb.Escape)
	b.sees(`text('#found') === '' && text('.column .number') === '5,000'`)

	// One change among them is one card drawn anew.
	a.does(`document.querySelector('.card-face').focus()`)
	b.does(`(globalThis.first = document.querySelectorAll('.slot')[1], document.querySelector('.cards').scrollTop = 0)`)
	a.press(kb.Enter)
	a.sees(`shown('#sheet')`)
	a.press(kb.End + " once more" + kb.Escape)
	b.sees(`document.querySelector('.slot').textContent.includes('once more')`)
}

// TestKeysAlone: all of it without a pointer.
func TestKeysAlone(t *testing.T) {
	hub := table(t)
	a := sit(t, anna, hub)
	a.sees(`shown('.welcome')`)
	a.shortcut('l')
	a.press("Groceries" + kb.Enter + "Done" + kb.Enter)
	a.sees(`list('Groceries') && list('Done')`)
	a.press(kb.Escape)
	a.does(`list('Groceries').querySelector('.add').focus()`)
	a.shortcut('n')
	for i, title := range []string{"milk", "bread", "salt"} {
		a.press(title + kb.Enter)
		a.sees(`inList('Groceries').length === %d`, i+1)
	}
	a.press(kb.Escape)
	a.sees(`focus().includes('Add a card')`)

	a.press(kb.Escape)
	a.does(`document.activeElement.blur()`)
	a.press(kb.ArrowDown)
	a.sees(`focus() === 'milk'`)
	a.press(kb.ArrowDown)
	a.sees(`focus() === 'bread'`)
	a.press(kb.ArrowUp, chromedp.ModifierShift)
	a.sees(`inList('Groceries').join() === 'bread,milk,salt' && focus() === 'bread'`)
	a.press(kb.ArrowRight, chromedp.ModifierShift)
	a.sees(`inList('Groceries').join() === 'milk,salt' && inList('Done').join() === 'bread' && focus() === 'bread'`)
	a.press(kb.ArrowLeft)
	a.sees(`focus() === 'milk'`)
	a.press(kb.Delete)
	a.sees(`inList('Groceries').join() === 'salt' && focus() === 'salt'`)
	a.shortcut('z')
	a.sees(`inList('Groceries').join() === 'milk,salt'`)

	a.shortcut('/')
	a.press("salt")
	a.sees(`inList('Groceries').join() === 'salt'`)
	a.shortcut('\r') // the field goes to the first card found
	a.sees(`focus() === 'salt'`)
	a.press(kb.Escape)
	a.sees(`inList('Groceries').join() === 'milk,salt'`)
	a.shortcut('?')
	a.sees(`shown('#box') && text('#box').includes('undo the last deletion')`)
	a.press(kb.Escape)
	a.sees(`!shown('#box')`)
}

// TestTheEngineIsLost: another one takes its place, and the page goes on as if nothing had been. Where none can be had, it keeps what it
// shows, says what happened, and opens the board again when asked to.
func TestTheEngineIsLost(t *testing.T) {
	hub := table(t)
	a := sit(t, anna, hub)
	a.samples()
	endWorkers(anna, "http://"+hub.Addr()+"/")
	a.opens("Repair the bicycle")
	a.press(kb.End + " now" + kb.Escape)
	a.sees(`word() === 'Live' && !document.querySelector('.banner') && card('Repair the bicycle now')`)
	a.does(`globalThis.Shared = SharedWorker`)
	a.does(`globalThis.SharedWorker = class { constructor() { throw new Error('no more workers') } }`)
	endWorkers(anna, "http://"+hub.Addr()+"/")
	a.sees(`word() === 'Stopped' && text('.banner').includes('The engine stopped') && card('Repair the bicycle now')`)
	a.does(`globalThis.SharedWorker = globalThis.Shared`)
	a.does(`button('Open again').click()`)
	a.sees(`word() === 'Live' && !document.querySelector('.banner') && card('Repair the bicycle now')`)
	a.opens("Repair the bicycle now")
	a.press(kb.End + " again" + kb.Escape)
	a.sees(`inList('Done')[0] === 'Repair the bicycle now again'`)
}

// TestOnEveryScreen: nothing is wider than the window, from the smallest to the widest, with texts of any length and direction.
func TestOnEveryScreen(t *testing.T) {
	hub := table(t)
	a := sit(t, anna, hub)
	a.samples()
	a.opens("Repair the bicycle")
	a.press(kb.End)
	a.pastes(strings.Repeat("ßüñ😀", 200))
	a.press(kb.Enter)
	a.pastes(strings.Repeat("שלום ", 300))
	a.sees(`text('.saved') === 'At the hub' && document.querySelectorAll('.version').length > 1`)
	for _, size := range [][2]int64{{320, 568}, {768, 1024}, {1440, 900}, {2560, 1440}} {
		if err := a.chromium().Do(soon(t), chromedp.EmulateViewport(size[0], size[1])); err != nil {
			t.Fatal(err)
		}
		a.sees(`innerWidth === %d`, size[0])
		a.sees(`document.documentElement.scrollWidth <= innerWidth`)
		a.sees(`[...document.querySelectorAll('#sheet, .column')].every((e) => e.scrollWidth <= e.clientWidth)`)
		a.sees(`['#boards-button', '#search', '#status-button', '#menu-button'].every((s) => { const r = document.querySelector(s).getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth && r.width > 24 })`)
	}
}
