// How a call ends: the same numbers as in calls.go.

export const done = 0;
export const missing = 1;
export const failed = 2;
export const noSpace = 3;
export const gone = 4;
export const taken = 5;
export const unavailable = 6;
export const newer = 7;
export const corrupt = 8;
export const cancelled = 9;
export const broken = 10;

/** A call that failed, with what Go is told of it. */
export class Failure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }

  /** What an error of IndexedDB means for a call on an open database. Names that are not here are failures of the medium. */
  static of(err: unknown): Failure {
    if (err instanceof Failure) return err;
    const { name = '', message = String(err) } = (err ?? {}) as Partial<DOMException>;
    return new Failure(Failure.#kind(name, message), name ? `${name}: ${message}` : message);
  }

  static #kind(name: string, message: string): number {
    switch (name) {
      case 'QuotaExceededError':
        return noSpace;
      case 'InvalidStateError': // the connection is closed
      case 'AbortError': // nobody here aborts without a reason of his own
        return broken;
      case 'UnknownError': // Chromium, when the site's data is cleared; WebKit, when it has ended the process that holds the data
        return /connection.*(closing|lost)/i.test(message) ? broken : failed;
      default:
        return failed;
    }
  }
}
