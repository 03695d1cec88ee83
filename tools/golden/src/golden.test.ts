/** Every captured machine boots, and the facts of its boot are those of its real kernel. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadCases } from './load-case.js';
import { runCase } from './run-case.js';
import { loadFragments, runFragment } from './run-fragment.js';
import { listLogs, runLog } from './run-log.js';

const own = fileURLToPath(new URL('..', import.meta.url));

describe.each(loadCases(`${own}/cases`))('$name', (golden) => {
  it('has the facts of the real boot', async () => {
    const { differences, compared } = await runCase(golden);
    expect(differences).toEqual([]);
    expect(compared).toBeGreaterThan(10);
  });
});

it.each(listLogs(`${own}/real-e820`))('%s boots, and says what its real kernel said', async (path) => {
  expect((await runLog(path)).differences).toEqual([]);
});

it.each(loadFragments(`${own}/real-e820`))('$name boots with the ranges that are known of it', async (fragment) => {
  const { differences, compared } = await runFragment(fragment);
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThan(2);
});
