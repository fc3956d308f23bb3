// vsync for a benchmark that drives databases side by side in one browser: documents {id, …} in one collection. It is bundled, with
// web/dist/vsync.js under ../vsync, and vsync-worker.js and vsync.wasm are served beside the bundle.
import { open, destroy } from '../vsync/vsync.js'
const MOST = 10_000 // documents a batch
export default () => {
  let db, c, name, opening
  const start = async (options) => { db = await open(name, options); c = db.collection('docs') }
  const value = ({ id, ...rest }) => rest
  return {
    meta: { name: 'vsync', durability: 'relaxed', history: 'always', crossTab: 'built in (one engine in a SharedWorker)', sync: true, inMemory: false },
    async open (n) { name = n; await start() },
    put: (id, doc) => c.put(id, doc),
    async putMany (docs) { for (let i = 0; i < docs.length; i += MOST) await c.putMany(docs.slice(i, i + MOST).map(d => [d.id, d])) },
    get: (id) => c.get(id),
    getAll: async (prefix) => (await c.query(prefix ? { prefix } : {})).map(e => e.value),
    count: async () => { await opening; return c.count() },
    update: (id, patch) => c.update(id, o => ({ ...o, ...patch })),
    remove: (id) => c.delete(id),
    async historyCount () { let n = 0; for (const e of await c.query()) for await (const _ of c.history(e.id)) n++; return n },
    async crossTab () {},
    subscribe (fn) { (async () => { for await (const e of c.watch({ from: 'now' })) for (const x of e.changes) if (!x.deleted) fn(x.id, x.value) })().catch(() => {}) },
    // A feed is an option of open: what was written without one is sent when the database is opened with it.
    sync (url) { return opening = (async () => { await db.close(); await start({ feed: url }) })() },
    async flush () {},
    close: () => db.close(),
    async destroy () { await db.close(); await destroy(name, { force: true }) }
  }
}
