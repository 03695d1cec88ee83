/**
 * `pnpm golden [DIR…] [--json] [--all]`: boots captured machines, and prints how their facts compare.
 * A DIR holds cases, or is one, or holds boot logs (`*.txt`) of real machines; without any, the project's own copies are used.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadCases } from './load-case.js';
import { formatReport, summarize } from './report.js';
import { type CaseResult, runCase } from './run-case.js';
import { loadFragments, runFragment } from './run-fragment.js';
import { listLogs, runLog } from './run-log.js';

const own = fileURLToPath(new URL('..', import.meta.url));
const flags = process.argv.slice(2).filter((arg) => arg.startsWith('-'));
const given = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
const unknown = flags.find((flag) => flag !== '--json' && flag !== '--all');
if (unknown !== undefined) fail(`unknown option '${unknown}'; usage: golden [DIR…] [--json] [--all]`);

const results: CaseResult[] = [];
for (const directory of given.length > 0 ? given : [join(own, 'cases'), join(own, 'real-e820')]) {
  if (!existsSync(directory)) fail(`${directory}: No such file or directory`);
  const isLogs = !existsSync(join(directory, 'case.json')) && readdirSync(directory).some((name) => name.endsWith('.txt'));
  try {
    if (isLogs) for (const log of listLogs(directory)) results.push(await runLog(log));
    if (isLogs) for (const fragment of loadFragments(directory)) results.push(await runFragment(fragment));
    if (!isLogs) for (const golden of loadCases(directory)) results.push(await runCase(golden));
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}
if (flags.includes('--json')) {
  const plain = results.map(({ leftOut, ...result }) => ({ ...result, leftOut: Object.fromEntries(leftOut) }));
  process.stdout.write(`${JSON.stringify({ ...summarize(results), results: plain }, undefined, 1)}\n`);
} else {
  process.stdout.write(formatReport(results, flags.includes('--all')));
}
process.exitCode = results.every(({ differences }) => differences.length === 0) ? 0 : 1;

function fail(message: string): never {
  process.stderr.write(`golden: ${message}\n`);
  process.exit(2);
}
