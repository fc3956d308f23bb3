package e2e

import (
	"context"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// asks counts how often the page asks the browser to keep what it stores.
const asks = `const ask = StorageManager.prototype.persist;
	e2e.asks = 0;
	StorageManager.prototype.persist = function () { e2e.asks++; return ask.call(this) };
	await e2e.open(); await (await vsync.open('another')).close();
	await e2e.status((s) => s.storage.quota > 0 && !s.storage.persisted);
	if (e2e.asks !== 1) throw new Error('it was asked ' + e2e.asks + ' times')`

// TestPersisted: a page asks the browser, once, to keep what is stored, and the status says whether it does. In a private window it does not. What is stored there stays there, through a reload too; when the window is closed it is gone, and in the next one all
// comes from the hub.
func TestPersisted(t *testing.T) {
	w := newWorld(t, nil)
	a := w.visit(anna)
	a.js(nil, asks)
	grant := cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "persistent-storage"}, Setting: cdpbrowser.PermissionSettingGranted, Origin: w.origin(),
	}
	err := a.chromium().Do(soon(t), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdpbrowser.SetPermission, grant)
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	a.reload()
	a.js(nil, `await e2e.open(); await e2e.status((s) => s.storage.persisted)`)

	devices := map[string]bool{}
	for n := range 2 {
		p := anna.private(t, w.address(anna))
		p.js(nil, asks)
		p.js(nil, `if (args[0] === 0) await notes.put('1', 'of a private window');
			await e2e.result('notes', {}, ([e]) => e?.value === 'of a private window');
			await db.synced(); db.pause(); await notes.put('unsent', args[0])`, n)
		var device string
		p.js(&device, `return db.device`)
		p.reload()
		p.js(nil, `await e2e.open();
			if (e2e.db.device !== args[0] || await e2e.notes.get('unsent') !== args[1]) throw new Error('it is not kept for a reload')`, device, n)
		devices[device] = true
		p.close()
	}
	a.js(nil, `await e2e.result('notes', {}, (all) => all.length === 1 && all[0].id === '1')`)
	var own string
	a.js(&own, `return db.device`)
	if devices[own] || len(devices) != 2 {
		t.Errorf("the two private windows are %v, and the page in none %s", devices, own)
	}
}
