package e2e

import (
	"fmt"
	"reflect"
	"testing"
)

// ruled opens the database with a collection of each kind.
const ruled = `await e2e.open({ collections: {
	plain: { version: 1, conflict: 'latest' },
	texts: { version: 1, conflict: 'keep' },
	stock: { version: 1, conflict: { n: 'counter', tags: 'set', note: 'text', 'range.top': 'max', 'range.low': 'min', '*': 'latest' } },
} });
await e2e.db.synced();
globalThis.at = (name) => e2e.db.collection(name);
globalThis.shown = async () => Object.fromEntries(await Promise.all(['plain', 'texts', 'stock'].map(async (name) =>
	[name, (await at(name).query()).map(({ id, value, version, conflict }) => [id, value, version, conflict])])));
globalThis.sides = async (name, id) => ((await at(name).conflicts.list()).find((c) => c.id === id)?.sides ?? []).map((s) => s.value ?? null);
globalThis.listed = (name) => new Promise((resolve) => {
	const stop = at(name).conflicts.subscribe((list) => (stop?.(), resolve(list.map((c) => c.id))));
});`

// TestAllRulesAtOnce: two devices, away from each other and from the hub, write the same objects under every rule. When they meet
// again they hold the same, and what the rules say; conflicts that one resolves are resolved on the other.
func TestAllRulesAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.visit(anna), w.visit(bert)
	a.js(nil, ruled)
	b.js(nil, ruled)
	a.js(nil, `await db.batch((tx) => {
		for (const id of ['both', 'same', 'gone']) for (const name of ['plain', 'texts']) tx.put(at(name), id, { from: 'base' });
		tx.put(at('stock'), 'x', { n: 10, tags: ['old', 'kept'], note: 'one\ntwo\nthree', range: { top: 5, low: 5 }, name: 'base', other: 1 });
	})`)
	meet(t, a, b)
	var moment string
	a.js(&moment, `for await (const event of db.watch()) if (event.marker !== 'start') return event.marker`)

	// Both away.
	const write = `db.pause();
		const [me, add, tag, line, top] = args;
		for (const name of ['plain', 'texts']) {
			await at(name).put('both', { from: me });
			await at(name).put('same', { from: 'the same' });
			await (me === 'anna' ? at(name).delete('gone') : at(name).put('gone', { from: me }));
		}
		for (let i = 0; i < 3; i++) await at('stock').update('x', (x) => ({ ...x, n: x.n + add }));
		await at('stock').update('x', (x) => ({ ...x, tags: [...x.tags.filter((t) => t !== 'old'), tag], name: me, range: { top, low: -top } }));
		const receipt = await at('stock').update('x', (x) => ({ ...x, note: me === 'anna' ? line + '\n' + x.note : x.note + '\n' + line, [me]: true }));
		return receipt.version`
	var last string
	a.js(&last, write, "anna", 1, "red", "zero", 7)
	b.js(nil, write, "bert", 100, "blue", "four", 9)
	a.js(nil, `db.resume(); await db.synced()`) // first in the feed
	b.js(nil, `db.resume(); await db.synced()`)
	meet(t, a, b)

	same := func() (text string) {
		t.Helper()
		var other string
		a.js(&text, `return JSON.stringify(await shown())`)
		b.js(&other, `return JSON.stringify(await shown())`)
		if text != other {
			t.Fatalf("anna shows\n%s\nand bert\n%s", text, other)
		}
		return text
	}
	same()
	want := func(p *tab, what string, want any, body string) {
		t.Helper()
		var got any
		p.js(&got, body)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %s is %v, want %v", p.name, what, got, want)
		}
	}
	for _, p := range []*tab{a, b} {
		for _, name := range []string{"plain", "texts"} {
			want(p, name, "bert", `return (await at('`+name+`').get('both')).from`)
			want(p, name+", both alike", "the same", `return (await at('`+name+`').get('same')).from`)
			want(p, name+", update against deletion", "bert", `return (await at('`+name+`').get('gone')).from`)
			want(p, name+", conflicts", []any{"both", "gone"}, `return listed('`+name+`')`)
			want(p, name+", sides", []any{"bert", "anna"}, `return (await sides('`+name+`', 'both')).map((s) => s.from)`)
			want(p, name+", base", "base", `return (await at('`+name+`').conflicts.list())[0].base.from`)
			want(p, name+", flag", true, `return (await at('`+name+`').entry('both')).conflict`)
		}
		var x map[string]any
		p.js(&x, `return at('stock').get('x')`)
		if want := (map[string]any{
			"n": 313.0, "tags": []any{"kept", "red", "blue"}, "note": "zero\none\ntwo\nthree\nfour", "range": map[string]any{"top": 9.0, "low": -9.0},
			"name": "bert", "other": 1.0, "anna": true, "bert": true,
		}); !reflect.DeepEqual(x, want) {
			t.Errorf("%s: merged is %v, want %v", p.name, x, want)
		}
	}

	// Under keep a plain write ends nothing; a resolution does, also elsewhere; the same one on both sides at once is one.
	a.js(nil, `await at('texts').put('both', { from: 'anna again' })`)
	meet(t, a, b)
	want(b, "sides", []any{"anna again", "anna"}, `return (await sides('texts', 'both')).map((s) => s.from)`)
	want(a, "picked", "anna", `const [c] = await at('texts').conflicts.list(); await c.pick(c.sides[1].version); return (await at('texts').get('both')).from`)
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.pause(); for (const c of await at('plain').conflicts.list()) await c.resolve({ from: 'agreed' })`)
	}
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.resume(); await db.synced()`)
	}
	meet(t, a, b)
	for _, p := range []*tab{a, b} {
		want(p, "conflicts that are left", []any{}, `return listed('plain')`)
		want(p, "conflicts of texts", []any{"gone"}, `return listed('texts')`)
		want(p, "agreed", "agreed", `return (await at('plain').get('both')).from`)
	}

	// What anna did last is taken back by bert, and what others did stays; then one goes back to the beginning.
	b.js(nil, `await db.undo(args[0])`, last)
	meet(t, a, b)
	want(a, "undone", "one\ntwo\nthree\nfour 313", `const x = await at('stock').get('x'); return x.note + ' ' + x.n + (x.anna ?? '')`)
	want(a, "as it was", "10 base", `const x = await (await db.at('`+moment+`')).collection('stock').get('x'); return x.n + ' ' + x.name`)
	a.js(nil, `let first; for await (const one of at('stock').history('x')) first = one; await at('stock').revert('x', first.version)`)
	meet(t, a, b)
	want(b, "reverted", "10 base", `const x = await at('stock').get('x'); return x.n + ' ' + x.name`)
	want(b, "differences to what was", []any{"tags"}, `let first; for await (const one of at('stock').history('x')) first = one; // of a set, the order may be another
		return (await at('stock').diff('x', first.version)).map((one) => one.path.join('.'))`)
	want(b, "the set", []any{"kept", "old"}, `return (await at('stock').get('x')).tags.sort()`)
	same()
}

// TestRulesPage: two people at the page of the three rules, away from each other. Each rule does what it says, and what has to be decided is
// decided by hand, on one of them.
func TestRulesPage(t *testing.T) {
	hub := table(t)
	at := func(d *device) *reader {
		p := &reader{bareTab(t, d, "http://"+hub.Addr()+"/rules.html")}
		p.look()
		p.sees(`document.documentElement.dataset.ready === 'yes' && text('#state') === 'live'`)
		return p
	}
	a, b := at(anna), at(bert)
	write := func(p *reader, section, words string) {
		t.Helper()
		p.does(`Object.assign(document.querySelector('#%s [name=text]'), { value: %q }).form.requestSubmit()`, section, words)
	}
	write(a, "recipe", "flour")
	write(a, "note", "top left")
	b.sees(`text('#recipe .past').includes('flour') && document.querySelector('#note textarea').value === 'top left'`)
	for _, p := range []*reader{a, b} {
		p.does(`button('Go offline').click()`)
		p.sees(`text('#state').startsWith('offline')`)
	}
	for i, p := range []*reader{a, b} {
		write(p, "sign", []string{"open", "closed"}[i])
		write(p, "recipe", []string{"flour and water", "flour and milk"}[i])
		p.does(`button('+').click()`)
		p.sees(`text('#count') === '1'`)
		p.does(`Object.assign(document.querySelector('#tag input'), { value: %q }).form.requestSubmit()`, []string{"plum", "fig"}[i])
		p.sees(`text('#tags').includes('×')`)
		write(p, "note", []string{"top left\nto be labelled", "on the top shelf\ntop left"}[i])
		p.sees(`text('#state') === 'offline, 5 to send'`)
	}
	for _, p := range []*reader{a, b} {
		p.does(`button('Go online').click()`)
		p.sees(`text('#state') === 'live'`)
	}
	for _, p := range []*reader{a, b} {
		p.sees(`shown('#recipe .conflict') && document.querySelectorAll('#recipe .side').length === 2 && text('#recipe .conflict').includes('flour and water')`)
		p.sees(`document.querySelector('#sign input').value === 'closed' && text('#sign .conflict').includes('open')`)
		p.sees(`text('#count') === '2' && text('#tags').includes('plum') && text('#tags').includes('fig')`)
		p.sees(`document.querySelector('#note textarea').value === 'on the top shelf\ntop left\nto be labelled'`)
	}
	a.does(`button('Keep both texts').click()`)
	b.does(`button('The merged one is right').click()`)
	a.does(`button('Take this one', document.querySelector('#sign')).click()`)
	for _, p := range []*reader{a, b} {
		p.sees(`!shown('#recipe .conflict') && !shown('#sign .conflict') && !shown('#shelf .conflict')`)
		p.sees(`document.querySelector('#recipe textarea').value.split('\n').sort().join() === 'flour and milk,flour and water'`)
		p.sees(`document.querySelector('#sign input').value === 'open' && text('#count') === '2'`)
	}
	a.does(`button('Undo my last change').click()`)
	b.sees(`document.querySelector('#sign input').value === 'closed' && text('#sign .past').includes('undone')`)
}
