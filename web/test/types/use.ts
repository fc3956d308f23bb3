// Checked by tsc, never run: how applications use it, and what the types should keep them from.
import { destroy, open, VsyncError } from '../../vsync.js';
import type { Collection, Database, Entry, ErrorCode, Query, Receipt, Status, Value, WatchEvent } from '../../vsync.js';

interface Todo {
  text: string;
  done: boolean;
  due?: Date;
}

export async function application(): Promise<void> {
  await using db = await open('todos', { feed: new URL('wss://hub.example.org'), token: async () => 'token', durability: 'strict', signal: AbortSignal.timeout(1000) });
  const todos = db.collection<Todo>('todos');
  const loose: Collection<unknown> = db.collection('anything');

  const receipt: Receipt = await todos.put('1', { text: 'milk', done: false });
  await receipt.synced({ signal: AbortSignal.timeout(1000) });
  await todos.put('1', { text: 'milk', done: true }, { seen: receipt.version });
  await todos.putMany([['2', { text: 'bread', done: false }], ['3', { text: 'salt', done: false }]]);
  await todos.putMany(new Map<string, Todo>());
  await todos.update('1', (todo) => todo && { ...todo, done: true });
  await todos.delete('2');
  await loose.put('x', [1, 2n, new Uint8Array(1), { a: null }]);

  const one: Todo | undefined = await todos.get('1');
  const many: (Todo | undefined)[] = await todos.getMany(['1', '2'] as const);
  const entry: Entry<Todo> | undefined = await todos.entry('1');
  const query: Query = { prefix: '1', from: '1', to: '2', limit: 10, reverse: true };
  const found: Entry<Todo>[] = await todos.query(query);
  const count: number = await todos.count();
  for await (const { id, value } of todos.scan({ prefix: 'a' })) console.log(id.length, value.text, one, many, entry, found, count);
  for await (const version of todos.history('1', { limit: 3 })) console.log(version.value?.text, version.parents.length, version.note?.length);
  for await (const event of todos.watch({ from: 'now' })) for (const change of event.changes) console.log(change.value?.done);
  for await (const event of db.watch()) {
    const any: WatchEvent = event;
    // @ts-expect-error: of all collections, a value is unknown
    console.log(any.changes[0]!.value.text);
  }

  const stop: () => void = todos.subscribe({}, (entries, { marker }) => console.log(entries[0]?.value.text, marker), (error) => console.log(error.code));
  stop();

  const ruled = await open('ruled', { collections: { todos: { version: 2, conflict: { 'stock.*': 'counter', tags: 'set', '*': 'latest' } }, notes: { version: 1, conflict: 'keep' }, plain: { version: 1 } } });
  for (const conflict of await todos.conflicts.list()) {
    const base: Todo | undefined = conflict.base;
    const side = conflict.sides[0]!;
    await conflict.pick(side.version);
    await conflict.resolve(side.value && { ...side.value, done: base?.done ?? true });
    await conflict.resolve(undefined);
  }
  todos.conflicts.subscribe((list) => console.log(list.length), (error) => console.log(error.code))();
  await todos.revert('1', receipt.version, { note: 'back' });
  await todos.undo('1', (await ruled.undo(receipt.version)).version);
  for (const { path, before, after } of await todos.diff('1', receipt.version)) console.log(path.join('.'), before, after);
  for (const { path, device, older } of await todos.blame('1')) console.log(path.join('.'), device, older);
  const then = (await db.at(new Date())).collection<Todo>('todos');
  const past: (Todo | undefined)[] = [await then.get('1'), (await then.entry('1'))?.value, ...(await then.getMany(['1']))];
  for await (const old of (await db.at('marker')).collection<Todo>('todos').scan({ prefix: 'a' })) console.log(old.value.text, past, await then.count());

  const batched = await db.batch(
    async (tx) => {
      const todo = await tx.get(todos, '1');
      if (todo) tx.put(todos, '4', { ...todo, text: 'again' });
      tx.delete(todos, '1');
      // @ts-expect-error: not what the collection holds
      tx.put(todos, '5', { text: 5 });
    },
    { note: 'moved' },
  );
  console.log(batched.version);

  const status: Status = db.status.current;
  if (status.phase === 'refused' && status.error?.code === 'FORBIDDEN') for (const problem of status.problems) await problem.retry().then((r) => r.synced());
  db.status.subscribe(({ pending, storage: { quota } }) => console.log(pending, quota))();
  db.pause();
  db.resume();
  await db.synced();
  await db.close();
  await destroy('todos', { force: true });
}

export function handle(err: unknown, db: Database): ErrorCode | undefined {
  if (!(err instanceof VsyncError)) return undefined;
  // @ts-expect-error: there is no such code
  if (err.code === 'QUOTE') return undefined;
  // @ts-expect-error: a status is not to be changed
  db.status.current = null;
  return err.code === 'QUOTA' ? err.code : undefined;
}

export async function wrong(db: Database): Promise<void> {
  // @ts-expect-error: not what the collection holds
  await db.collection<Todo>('todos').put('1', { text: 'milk' });
  // @ts-expect-error: not there
  await db.collection('todos').query({ where: { done: true } });
  // @ts-expect-error: nowhere to be found
  await open('todos', { hosting: 'window' });
  // @ts-expect-error: no such function
  await open('todos', { collections: { todos: { version: 1, conflict: { n: 'sum' } } } });
  // @ts-expect-error: rules have a version
  await open('todos', { collections: { todos: { conflict: 'keep' } } });
  // @ts-expect-error: an update does not wait
  await db.collection<Todo>('todos').update('1', async (todo) => todo);
}

export const values: Value[] = [null, true, 1, 1n, 'a', new Date(), new Uint8Array(), [1, [2]], { a: { b: [null] } }];
// @ts-expect-error: no value
export const none: Value = { a: undefined };
