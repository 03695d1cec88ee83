/**
 * The rows of the project's list of the thread of April 2015, "Re: [GIT PULL] PMEM driver for v4.1", and the tests that are named after them.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../../..');
/** Where those tests are, in packages/kernel. */
export const THREAD_TESTS = 'test/thread';

const LAST_ROW = 44;
/** Rows that are no system and ask for nothing: when a patchset would come. */
const NO_SYSTEM = new Set([43]);

/** The rows that need a test. */
export const ROWS: readonly number[] = Array.from({ length: LAST_ROW }, (_, i) => i + 1).filter((row) => !NO_SYSTEM.has(row));

/** The rows that a test's name speaks of: `row 7: …`, `rows 8 and 9: …`, `rows 26 to 28: …`, `rows 20 and 39 to 42: …`. */
export function rowsIn(name: string): number[] {
  const list = /^rows? ((?:\d+(?: to \d+)?(?:, | and |:))+)/.exec(name)?.[1];
  if (list === undefined) return [];
  return [...list.matchAll(/(\d+)(?: to (\d+))?/g)].flatMap(([, from, to]) => {
    const [first, last] = [Number(from), Number(to ?? from)];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** The names of the thread's tests, as their sources say them. */
export function testNames(): string[] {
  const folder = join(ROOT, 'packages/kernel', THREAD_TESTS);
  const sources = readdirSync(folder).filter((file) => file.endsWith('.test.ts')).map((file) => readFileSync(join(folder, file), 'utf8'));
  return sources.flatMap((source) => [...source.matchAll(/\b(?:test|it)(?:\.each\([^]*?\]\))?\('((?:[^'\\]|\\.)*)'/g)].map(([, name]) => name!));
}
