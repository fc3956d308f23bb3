// What is stored, held against each other.
import type { CheckReport, Finding } from '../vsync.js';
import { fieldsOf } from './arguments.js';
import { describe, invalid } from './errors.js';
import { CHECK } from './frame.js';
import { Malformed, type Reader } from './reader.js';
import type { Link } from './request.js';

export async function check(link: Link, options: { repair?: boolean } | undefined): Promise<CheckReport> {
  fieldsOf('check', options, ['repair']);
  const repair = options?.repair ?? false;
  if (typeof repair !== 'boolean') throw invalid(`check: repair: expected true or false, got ${describe(repair)}`);
  return link.request(CHECK, 1, (w) => void w.bool(repair), 5, (r) => ({
    ok: r.bool(),
    objects: r.int(),
    batches: r.int(),
    findings: readFindings(r),
    aside: readFindings(r),
  }));
}

function readFindings(r: Reader): Finding[] {
  const list: Finding[] = [];
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== 4) throw new Malformed('the four fields of a finding', r);
    const finding: Finding = { what: r.str(), repaired: r.bool(), harmless: r.bool() };
    const time = r.int();
    if (time > 0) finding.time = time;
    list.push(finding);
  }
  return list;
}
