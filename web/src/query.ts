import type { Entry, Query } from '../vsync.js';
import { checkText, fieldsOf } from './arguments.js';
import { describe, invalid } from './errors.js';
import { SCAN, type Fields } from './frame.js';
import { MAX_LIMIT } from './limits.js';
import { readRows } from './rows.js';
import type { Source } from './stream.js';

/** The one field QUERY of a request. Throws INVALID. */
export function queryFields(collection: string, query: Query | undefined): Fields {
  fieldsOf('query', query, ['prefix', 'from', 'to', 'limit', 'reverse']);
  const { prefix = '', from = '', to = '', limit = 0, reverse = false } = query ?? {};
  checkText('query: prefix', prefix);
  checkText('query: from', from);
  checkText('query: to', to);
  if (typeof reverse !== 'boolean') throw invalid(`query: reverse: expected true or false, got ${describe(reverse)}`);
  const none = query?.limit === undefined;
  if (!none && !(Number.isInteger(limit) && limit > 0)) throw invalid(`query: limit: expected a whole number of 1 or more, got ${describe(limit)}`);
  return (w) => {
    w.array(6);
    w.str(collection);
    w.str(prefix);
    w.str(from);
    w.str(to);
    w.bool(reverse);
    w.int(Math.min(limit, MAX_LIMIT));
  };
}

export function scan<T>(collection: string, query: Query | undefined): Source<Entry<T>> {
  return { kind: SCAN, fields: 1, write: queryFields(collection, query), itemFields: 2, read: (r) => readRows<T>(r) };
}
