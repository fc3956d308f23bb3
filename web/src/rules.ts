// The rules of collections: checked here, so that what is wrong is said where it was written; put into their one form by the engine.
import type { CollectionRules } from '../vsync.js';
import { checkCollection, fieldsOf } from './arguments.js';
import { describe, invalid, quote } from './errors.js';
import { MAX_RULE_PATHS } from './limits.js';
import { encodeValue } from './value.js';

const MODES = ['latest', 'keep'];
const FUNCTIONS = ['latest', 'counter', 'set', 'text', 'max', 'min'];

const listed = (words: string[]): string => words.map(quote).join(', ');

/** Rules as they are told the engine, by collection; undefined where there are none. */
export function encodeRules(collections: Record<string, CollectionRules> | undefined): [string, Uint8Array][] {
  if (collections === undefined) return [];
  if (typeof collections !== 'object' || collections === null || Array.isArray(collections)) {
    throw invalid(`open: collections: expected an object of rules by collection, got ${describe(collections)}`);
  }
  return Object.entries(collections).map(([name, rules]) => {
    checkCollection(name);
    return [name, encodeValue(checked(`open: collections[${quote(name)}]`, rules))];
  });
}

function checked(what: string, rules: CollectionRules): object {
  if (rules === undefined) throw invalid(`${what}: expected { version, conflict }, got undefined`);
  fieldsOf(what, rules, ['version', 'conflict']);
  const { version, conflict = 'latest' } = rules;
  if (!Number.isSafeInteger(version) || version < 1) {
    throw invalid(`${what}.version: expected a whole number of 1 or more, which is raised with every change of the rules, got ${describe(version)}`);
  }
  if (typeof conflict === 'string' && MODES.includes(conflict)) return { version, conflict };
  if (typeof conflict !== 'object' || conflict === null || Array.isArray(conflict)) {
    throw invalid(`${what}.conflict: expected ${listed(MODES)} or an object of functions by path, got ${describe(conflict)}`);
  }
  const paths = Object.entries(conflict);
  if (paths.length > MAX_RULE_PATHS) throw invalid(`${what}.conflict: at most ${MAX_RULE_PATHS} paths, these are ${paths.length}: use "*" for what is alike`);
  for (const [path, fn] of paths) {
    checkPath(`${what}.conflict[${quote(path)}]`, path);
    if (!FUNCTIONS.includes(fn)) throw invalid(`${what}.conflict[${quote(path)}]: expected one of ${listed(FUNCTIONS)}, got ${describe(fn)}`);
  }
  return { version, conflict: Object.fromEntries(paths) };
}

/** Keys or stars with dots between them; a backslash makes a dot, a star or a backslash a letter of a key. */
function checkPath(what: string, path: string): void {
  if (!/^(\\[.*\\]|[^.\\])+(\.(\\[.*\\]|[^.\\])+)*$/s.test(path)) {
    throw invalid(`${what}: expected keys with dots between them, such as "tags" or "stock.*.count" ("\\\\." for a dot in a key)`);
  }
}
