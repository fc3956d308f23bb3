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
				const { db, notes } = e2e;
				told.length = 0; // opening may do as it likes
				for (let i = 0; i < 10; i++) await notes.put('1', i);
				await notes.putMany([['1', 'a'], ['2', 'b']]);
				await db.batch((tx) => tx.delete(notes, '2'));
				await notes.update('1', (v) => v + 'c');
				await db.synced();
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
