package e2e

import (
	"slices"
	"testing"
)

// spy goes in front of the worker's script: what is asked of IndexedDB stays as it is, and is told.
const spy = `{
	const told = new BroadcastChannel('spy'), transaction = IDBDatabase.prototype.transaction;
	IDBDatabase.prototype.transaction = function (stores, mode, options) {
		const tx = transaction.apply(this, arguments);
		if (tx.mode !== 'readonly') told.postMessage(tx.durability);
		return tx;
	};
}
`

// TestStrict: with durability "strict" every write is in a transaction that the browser has to put on the disk; without, in
// one that it need not.
func TestStrict(t *testing.T) {
	for _, durability := range []string{"strict", "relaxed"} {
		t.Run(durability, func(t *testing.T) {
			w := newWorld(t, nil)
			w.site.before["/vsync-worker.js"] = spy
			a := w.visit(anna)
			var kinds []string
			a.js(&kinds, `const told = [], spy = new BroadcastChannel('spy');
				spy.onmessage = ({ data }) => told.push(data);
				await e2e.open({ durability: args[0] });
				e2e.db.pause(); // what comes from the hub can come again, and need not be on the disk
				await e2e.status((s) => s.paused && s.phase === 'waiting');
				told.length = 0;
				for (let i = 0; i < 10; i++) await e2e.notes.put('1', i);
				await e2e.notes.putMany([['1', 'a'], ['2', 'b']]);
				await e2e.db.batch((tx) => tx.delete(e2e.notes, '2'));
				await e2e.notes.update('1', (v) => v + 'c');
				const end = new BroadcastChannel('spy'); // what was told before comes before this
				await new Promise((come) => { const was = spy.onmessage; spy.onmessage = (m) => m.data === 'end' ? come() : was(m); end.postMessage('end') });
				return told`, durability)
			if len(kinds) < 13 {
				t.Errorf("13 writes were in %d transactions: %v", len(kinds), kinds)
			}
			writes := slices.Compact(slices.Sorted(slices.Values(kinds)))
			if !slices.Equal(writes, []string{durability}) {
				t.Errorf("the transactions were %v, want all %s", kinds, durability)
			}
		})
	}
}
