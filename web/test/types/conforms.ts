// Checked by tsc, never run: what web/src exports is what vsync.d.ts says, and nothing more.
import type * as Contract from '../../vsync.js';
import type * as Actual from '../../src/vsync.js';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(..._: T[]): void => undefined;

type Functions<M> = { [K in keyof M]: M[K] };

holds<Same<keyof Functions<typeof Actual>, keyof Functions<typeof Contract>>>();
holds<Same<typeof Actual.open, typeof Contract.open>>();
holds<Same<typeof Actual.destroy, typeof Contract.destroy>>();
holds<Same<typeof Actual.keepOffline, typeof Contract.keepOffline>>();
holds<Same<ConstructorParameters<typeof Actual.VsyncError>, ConstructorParameters<typeof Contract.VsyncError>>>();
holds<Same<keyof Actual.VsyncError, keyof Contract.VsyncError>>();
holds<Same<Actual.VsyncError['code'], Contract.ErrorCode>>();

/** Each can stand for the other. */
export const one: typeof Contract = null as unknown as typeof Actual;
export const other: Contract.VsyncError = null as unknown as Actual.VsyncError;
export const back: Actual.VsyncError = null as unknown as Contract.VsyncError;
