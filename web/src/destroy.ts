import { VsyncError } from './errors.js';
import { DESTROY, PROTOCOL } from './frame.js';
import { Link } from './request.js';
import { Session } from './revive.js';
import { bury, lastPlace } from './subject.js';

/** Deletes the replica of a database, of who has opened it last, over a port of its own. */
export async function destroyDatabase(name: string, force: boolean): Promise<void> {
  const place = await lastPlace(name);
  const link = new Link({ status: (r) => r.skip(), ask: () => undefined, silent: () => undefined, lost: () => undefined });
  const first = (signal: AbortSignal): Promise<void> =>
    link.first(
      DESTROY,
      3 + Number(place !== name),
      (w) => {
        w.int(PROTOCOL);
        w.str(name);
        w.bool(force);
        if (place !== name) w.str(place);
      },
      0,
      signal,
    );
  const session = new Session({ name: place, wanted: 'auto', link, first });
  try {
    await session.begin(undefined);
  } finally {
    link.end(new VsyncError('CLOSED', 'the database was destroyed'));
    session.release();
  }
  await bury(name, place);
}
