// Places in an order that anybody can extend without renumbering: a place is a fraction in base 62, written without its
// "0." and without trailing zeros, so that places compare as their texts do. Devices that insert at the same spot while
// apart draw different last digits, hence different places.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE = DIGITS.length;
const HEAD = 6; // digits counted up and down at the ends, where most is inserted: places stay this short there
const STEP = BASE * BASE; // leaves room between neighbours, and for some ten million places at either end

const WELL_FORMED = /^[0-9A-Za-z]*[1-9A-Za-z]$/;

/** Whether a text is a place. */
export const isPlace = (text) => typeof text === "string" && WELL_FORMED.test(text);

/**
 * A place between two others.
 * @param {string} a the place before; "" or anything that is no place: the start
 * @param {string} b the place behind; "" or anything that is no place, or not behind a: the end
 * @param {() => number} random draws from [0, 1)
 */
export function between(a, b, random = Math.random) {
  const low = isPlace(a) ? a : "";
  const high = isPlace(b) && b > low ? b : "";
  return jitter(high ? (low ? middle(low, high) : before(high)) : after(low), random);
}

/** n places in order, all of them behind a. */
export function following(a, n, random = Math.random) {
  const places = [];
  let last = isPlace(a) ? a : "";
  for (let i = 0; i < n; i++) places.push((last = between(last, "", random)));
  return places;
}

/** Places at ends, for a writer who may be ahead of what he sees. */
export class Ends {
  #last = new Map(); // by list: the place that was drawn last

  /**
   * A place behind all that is in a list, and behind all that was drawn for it here.
   * @param {string} last the place of the last item that is seen; "" where there is none
   */
  behind(list, last, random = Math.random) {
    const drawn = this.#last.get(list) ?? "";
    const place = between(drawn > last ? drawn : last, "", random);
    this.#last.set(list, place);
    return place;
  }
}

const head = (place) => [...place.padEnd(HEAD, "0").slice(0, HEAD)].reduce((n, digit) => n * BASE + DIGITS.indexOf(digit), 0);

function text(number) {
  let out = "";
  for (let n = number; out.length < HEAD; n = Math.floor(n / BASE)) out = DIGITS[n % BASE] + out;
  return out;
}

const FIRST = Math.floor(BASE ** HEAD / 2);

function after(a) {
  if (a === "") return text(FIRST);
  const next = head(a) + STEP;
  return next < BASE ** HEAD ? text(next) : middle(a, "");
}

function before(b) {
  const next = head(b) - STEP;
  return next > 0 ? text(next) : middle("", b);
}

/** A fraction between two that begins with none of b, so that it stays below b with any digits more; b = "" stands for 1. */
function middle(a, b) {
  let same = 0;
  while (b && (a[same] ?? "0") === b[same]) same++;
  if (same > 0) return b.slice(0, same) + middle(a.slice(same), b.slice(same));
  const low = a ? DIGITS.indexOf(a[0]) : 0;
  const high = b ? DIGITS.indexOf(b[0]) : BASE;
  if (high - low > 1) return DIGITS[Math.floor((low + high) / 2)];
  return DIGITS[low] + middle(a.slice(1), "");
}

/** Two digits more, the last of them not zero. */
const jitter = (place, random) => place + DIGITS[Math.floor(random() * BASE)] + DIGITS[1 + Math.floor(random() * (BASE - 1))];
