// Every bound of the page's side, with its reason. Those of what is stored are the engine's; they are checked here too, so that a
// wrong argument is refused before it costs a message, and with a path.

/** Bytes of UTF-8 of a collection's name and of an id. */
export const MAX_COLLECTION = 64;
export const MAX_ID = 512;

/** Bytes of an encoded value. */
export const MAX_VALUE = 1 << 20;

/** Levels of arrays and maps in a value: recursive readers have a bounded stack, and a cycle ends. */
export const MAX_DEPTH = 64;

/** Objects of one batch, and bytes of it. */
export const MAX_MUTATIONS = 20_000;
export const MAX_BATCH = 8 << 20;

/** Bytes of a batch's note. */
export const MAX_NOTE = 1024;

/** The engine takes an integer as a limit; more than this means none. */
export const MAX_LIMIT = Number.MAX_SAFE_INTEGER;

/** Ids that one request asks for: its answer is one packet, held in memory whole on both sides. */
export const MAX_IDS = 1024;

/** How often a read-modify-write is tried when others are faster, before it says so. */
export const MAX_RUNS = 100;

/**
 * How long, in ms, a shared worker may say nothing before the page asks for it anew. One that still loads the engine is the same worker
 * then, and loads on; one that was about to end is another.
 */
export const SILENCE = 5_000;

/** A buffer that grew larger than this is given back after it was sent. */
export const KEEP_BUFFER = 1 << 20;

/** The least time in ms between two looks at how full the browser's storage is: it asks another process. */
export const STORAGE_EVERY = 10_000;
