import { expect, test } from 'vitest';
import { MUTATIONS, mutate, readSource } from './mutations.js';
import { readReadme, rowsMissingIn } from './report.js';
import { ROWS, rowsIn, testNames } from './rows.js';

test('names are read', () => {
  expect(rowsIn('rows 20 and 39 to 42: one driver')).toEqual([20, 39, 40, 41, 42]);
  expect(rowsIn('row 7: x')).toEqual([7]);
  expect(rowsIn('rowing 7: x')).toEqual([]);
});

test('each row has its test', () => {
  const tested = new Set(testNames().flatMap(rowsIn));
  expect(ROWS.filter((row) => !tested.has(row))).toEqual([]);
});

test('each row has a mutation, and the run that is written down saw a test of it fail', () => {
  const mutated = new Set(MUTATIONS.flatMap(({ rows }) => rows));
  expect(ROWS.filter((row) => !mutated.has(row))).toEqual([]);
  expect(rowsMissingIn(readReadme())).toEqual([]);
});

test.each(MUTATIONS.map((mutation) => [mutation.without, mutation] as const))('the kernel can be made without %s', (_without, mutation) => {
  const source = readSource(mutation);
  expect(mutate(mutation, source)).not.toBe(source);
});
