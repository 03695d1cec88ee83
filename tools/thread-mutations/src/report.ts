/**
 * What the runs say: a line for each mutation, in the README's table, and what is wrong with the tests.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MUTATIONS, type Mutation } from './mutations.js';
import { ROWS, rowsIn } from './rows.js';
import type { Outcome } from './run.js';

const README = join(import.meta.dirname, '../README.md');
const HEAD = '| rows | without | tests of these rows that fail then |\n|---|---|---|\n';

export function lineOf({ mutation, failed, passed }: Outcome): string {
  return `${headOf(mutation)} ${failed.length} of ${failed.length + passed.length} |`;
}

/** Rows whose tests all pass without their design, and tests that pass whatever is taken out: a line for each. */
export function findings(outcomes: readonly Outcome[]): string[] {
  const blunt = outcomes.flatMap(({ mutation, failed }) => mutation.rows
    .filter((row) => !failed.some((name) => rowsIn(name).includes(row)))
    .map((row) => `row ${row}: all its tests pass without ${mutation.without}`));
  const bitten = new Set(outcomes.flatMap(({ failed }) => failed));
  const survivors = new Set(outcomes.flatMap(({ passed }) => passed).filter((name) => !bitten.has(name)));
  return [...blunt, ...[...survivors].map((name) => `nothing makes it fail: ${name}`)];
}

/** The rows that no mutation in the README's table is about. */
export function rowsMissingIn(readme: string): number[] {
  const told = new Set(
    [...readme.matchAll(/^\| ([\d, ]+) \| .* \| (\d+) of \d+ \|$/gm)]
      .filter(([, , failed]) => Number(failed) > 0)
      .flatMap(([, rows]) => rows!.split(', ').map(Number)),
  );
  return ROWS.filter((row) => !told.has(row));
}

export function readReadme(): string {
  return readFileSync(README, 'utf8');
}

/** Write the lines of these outcomes into the README's table, which keeps those of others. */
export function writeTable(outcomes: readonly Outcome[]): void {
  const readme = readReadme();
  const [text, table] = readme.split(HEAD) as [string, string];
  const lines = MUTATIONS.flatMap((mutation) => {
    const outcome = outcomes.find((each) => each.mutation === mutation);
    return outcome ? [lineOf(outcome)] : table.split('\n').filter((line) => line.startsWith(headOf(mutation)));
  });
  writeFileSync(README, `${text}${HEAD}${lines.map((line) => `${line}\n`).join('')}`);
}

function headOf({ rows, without }: Mutation): string {
  return `| ${rows.join(', ')} | ${without} |`;
}
