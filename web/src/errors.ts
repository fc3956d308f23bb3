import type { ErrorCode, VsyncError as Contract } from '../vsync.js';

/** What every promise of this package rejects with, but for what an application's own function has thrown. */
export class VsyncError extends Error implements Contract {
  override readonly name = 'VsyncError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export const invalid = (message: string): VsyncError => new VsyncError('INVALID', message);

/** The same failure for another caller, whose stack it then shows. */
export const again = (err: VsyncError): VsyncError => new VsyncError(err.code, err.message, { cause: err });

/** Whether an error says no more than that the database is closed, by whomever: its status says so too. */
export const isClosing = (err: VsyncError): boolean => err.code === 'CLOSED' || err.code === 'LOGGED_OUT';

/** What an application's callback has thrown: it becomes an uncaught error and stops nothing here. */
export function report(err: unknown): void {
  if (typeof reportError === 'function') reportError(err);
  else queueMicrotask(() => { throw err; });
}

/** How a thing that was passed is called in a message: short, and never failing. */
export function describe(v: unknown): string {
  if (v === null) return 'null';
  if (typeof v === 'string') return quote(v);
  if (typeof v === 'number' || typeof v === 'boolean' || v === undefined) return Object.is(v, -0) ? '-0' : String(v);
  if (typeof v === 'bigint') return `${v}n`;
  if (typeof v === 'function') return 'a function';
  if (typeof v === 'symbol') return 'a symbol';
  if (Array.isArray(v)) return 'an array';
  const name = Object.getPrototypeOf(v)?.constructor?.name;
  return typeof name === 'string' && name !== '' && name !== 'Object' ? `a ${name}` : 'an object';
}

/** A text for a message: quoted, and cut where it is long. */
export function quote(s: string): string {
  return JSON.stringify(s.length > 80 ? s.slice(0, 80) + '…' : s);
}
