package e2e

// late goes in front of the worker's script: a transaction that stores a certain text comes to its end, and the engine does not learn of it,
// as where its worker ends between the two. So whoever comes next finds writes that nobody was told of, and whose pages still wait.
//
//	page ─▶ TEXT      the next transaction that stores it, and no other
//	page ◀─ heard     from now on
//	page ◀─ landed    it is stored; the engine waits for that for ever
const late = `{
	const told = new BroadcastChannel('late ' + self.name), put = IDBObjectStore.prototype.put;
	const { set } = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, 'oncomplete');
	let text = '', hit;
	told.onmessage = ({ data }) => { text = data; told.postMessage('heard') };
	IDBObjectStore.prototype.put = function (value, key) {
		if (text && !hit && new TextDecoder().decode(value).includes(text)) hit = this.transaction;
		return put.call(this, value, key);
	};
	Object.defineProperty(IDBTransaction.prototype, 'oncomplete', {
		set(fn) { set.call(this, (event) => this === hit ? told.postMessage('landed') : fn(event)) },
	});
}
`

// landLate has a tab write what is stored without its engine learning of it. The engine is to be ended then: the next one finds that it is
// there, tells the page so, and does not write it again, which judge looks for.
func (l *lives) landLate(p *tab) {
	l.t.Helper()
	p.js(nil, `await e2e.landLate()`)
}
