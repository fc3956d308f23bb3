// The hub, and what it would be billed: for ./build.sh bench edge.
import front, { Database as Inner } from '../front.js';
import { billed, telling } from './bill.js';

export const Database = billed(Inner);
export default telling(front);
