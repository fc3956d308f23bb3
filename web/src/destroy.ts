import { connect } from './connect.js';
import { VsyncError } from './errors.js';
import { DESTROY, PROTOCOL } from './frame.js';

/** Deletes the replica of a database, over a port of its own. */
export async function destroyDatabase(name: string, force: boolean): Promise<void> {
  const { link, release } = await connect(name, 'auto', { status: (r) => r.skip(), ask: () => undefined, lost: () => undefined });
  try {
    await link.request(
      DESTROY,
      3,
      (w) => {
        w.int(PROTOCOL);
        w.str(name);
        w.bool(force);
      },
      0,
      () => undefined,
    );
  } finally {
    link.end(new VsyncError('CLOSED', 'the database was destroyed'));
    release();
  }
}
