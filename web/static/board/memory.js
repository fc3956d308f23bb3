// What a browser remembers for this page beside the database: nothing where it keeps nothing.

export function remembered(key) {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** undefined forgets. */
export function remember(key, value) {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch { /* a browser that stores nothing */ }
}
