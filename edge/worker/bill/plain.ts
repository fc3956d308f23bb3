// The same for the hub in plain JavaScript.
// @ts-expect-error: it has no types
import front, { Database as Inner } from '../plain/plain.js';
import { billed, telling } from './bill.js';

export const Database = billed(Inner);
export default telling(front);
