/**
 * Every row of the thread of April 2015 that is a system, or says what one must do, has a test that is named after it.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';

/** Rows that are neither: who said that it was needed, and when it would come. */
const NO_SYSTEM = new Set([43]);
const LAST_ROW = 44;

/** The rows that a test's name speaks of: `row 7`, `rows 8 and 9`, `rows 26 to 28`, `rows 20 and 39 to 42`. */
function rowsIn(name: string): number[] {
  const list = /^rows? ((?:\d+(?: to \d+)?(?:, | and |:))+)/.exec(name)?.[1];
  if (list === undefined) return [];
  return [...list.matchAll(/(\d+)(?: to (\d+))?/g)].flatMap(([, from, to]) => {
    const [first, last] = [Number(from), Number(to ?? from)];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

test('names are read', () => {
  expect(rowsIn('rows 20 and 39 to 42: one driver')).toEqual([20, 39, 40, 41, 42]);
  expect(rowsIn('row 7: x')).toEqual([7]);
  expect(rowsIn('rowing 7: x')).toEqual([]);
});

test('each row has its test', () => {
  const here = new URL('.', import.meta.url);
  const sources = readdirSync(here).filter((file) => file.endsWith('.test.ts') && file !== 'rows.test.ts').map((file) => readFileSync(new URL(file, here), 'utf8'));
  const names = sources.flatMap((source) => [...source.matchAll(/\b(?:test|it)(?:\.each\([^]*?\]\))?\('((?:[^'\\]|\\.)*)'/g)].map(([, name]) => name!));
  const tested = new Set(names.flatMap(rowsIn));
  const all = Array.from({ length: LAST_ROW }, (_, i) => i + 1);
  expect(all.filter((row) => !tested.has(row) && !NO_SYSTEM.has(row))).toEqual([]);
});
