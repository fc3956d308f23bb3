// The native hub (VSYNC_BIN) as a child of that benchmark, which asks it for documents and for CPU time. It counts batches: the adapter
// writes MOST documents a batch where a count is asked for.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { serve } from './common.mjs'
const dir = process.argv[2]
const hub = spawn(process.env.VSYNC_BIN ?? 'vsync', ['serve', '--port', '0', '--data', dir + '/hub', '--origin', 'http://*.localhost:*'], { stdio: ['ignore', 'pipe', 'inherit'] })
process.on('exit', () => hub.kill('SIGKILL'))
let text = ''
hub.stdout.on('data', b => { text += b; const m = /:(\d+)/.exec(text); if (m && !hub.port) { hub.port = +m[1]; go() } })
const ticks = () => { const f = fs.readFileSync(`/proc/${hub.pid}/stat`, 'utf8').split(') ')[1].split(' '); return { user: f[11] * 10000, system: f[12] * 10000 } }
const count = async () => ((await (await fetch(`http://127.0.0.1:${hub.port}/v1/health`)).json()).databases.find(d => d.name === 's')?.head ?? 0) * 10_000
function go () {
  serve(hub.port, count)
  const [asked] = process.listeners('message').slice(-1)
  process.off('message', asked)
  process.on('message', m => m.cmd === 'cpu' ? process.send({ re: m.re, v: ticks() }) : asked(m)) // the hub's, not this child's
}
