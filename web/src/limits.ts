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

/** Paths of a collection's field rules. */
export const MAX_RULE_PATHS = 128;

/** Bytes of a batch's note. */
export const MAX_NOTE = 1024;

/** The engine takes an integer as a limit; more than this means none. */
export const MAX_LIMIT = Number.MAX_SAFE_INTEGER;

/** Ids that one request asks for: their values are held in memory whole on both sides. */
export const MAX_IDS = 1024;

/** How often a read-modify-write is tried when others are faster, before it says so. */
export const MAX_RUNS = 100;

/**
 * How long, in ms, a shared worker may say nothing before the page asks for it anew. One that still loads the engine is the same worker
 * then, and loads on; one that was about to end is another.
 */
export const SILENCE = 5_000;

/** A buffer that grew larger than this is sent itself, and not a copy. */
export const KEEP_BUFFER = 1 << 20;

/** Buffers of batches that were written, for those that come. */
export const SPARE_BUFFERS = 4;

/**
 * The buffer of a packet of so many bytes goes back to the engine when it was read: as garbage, hundreds of them are freed in one task, at 0.3 ms
 * each where memory is slow to be given back.
 */
export const GIVE_BACK = 2048;

/** The least time in ms between two looks at how full the browser's storage is: it asks another process. */
export const STORAGE_EVERY = 10_000;

/** How many engines are asked for the same before it fails: one that ends each engine must not end them for ever. */
export const MAX_ENGINES = 4;

/** Waits in ms before each try to get another engine when one is gone; behind the last one the database is given up. */
export const REVIVALS = [0, 100, 400, 1_000, 3_000];

/** An engine that lived for so many ms was a sound one. The next one after one that did not is waited for a while, at most the second. */
export const STEADY = 10_000;
export const MAX_REST = 10_000;

/** How long, in ms, opening waits for a token that says whose replica is to be opened, before it opens that of the last one who had it. */
export const TOKEN_PATIENCE = 2_000;

/** How long, in ms, a worker of this page may say nothing before it has its engine: it says all the while that it is starting, however slow the network. */
export const WORKER_SILENCE = 15_000;

/** How often, in ms, it does. */
export const STARTING_EVERY = 2_000;

/** How often, in ms, one asks at the door which engine has the database, when no answer came. */
export const KNOCK_EVERY = 500;

/** How long, in ms, one waits at the door of an engine that has the database while ours has not: it answers at once, or not at all. */
export const DOOR = 500;

/** How long, in ms, a follower waits for the engine of another tab, which may still be loading it. */
export const LEADER_SILENCE = 30_000;

/** How long, in ms, an engine may take to open a database. A large one is open within a second, one that has to be mended within many. */
export const OPENING = 120_000;

/**
 * How often, in ms, a page looks whether the engine has said something since, while it waits for an answer, or for news alone. An engine that
 * has not is asked for a sign, and after so many that did not come it is given up: after half a minute, which none works without a pause.
 */
export const SIGN_EVERY = 5_000;
export const NEWS_EVERY = 30_000;
export const SIGNS = 6;

/** After how long, in ms, without an engine the status says that it takes too long. */
export const SEEKING = 5_000;

/** How long, in ms, a database whose user has logged out may take to write what it was asked to before. */
export const LEAVING = 3_000;
