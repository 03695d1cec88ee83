/**
 * `pnpm golden [DIR…] [--json] [--all]`: boots captured machines, and prints how their facts compare.
 * A DIR holds cases, or is one, or holds boot logs (`*.txt`) of real machines; without any, the project's own copies are used.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolCommand } from '@holdfast/command-line';
import { loadCases } from './load-case.js';
import { formatReport, summarize } from './report.js';
import { type CaseResult, runCase } from './run-case.js';
import { loadFragments, runFragment } from './run-fragment.js';
import { listLogs, runLog } from './run-log.js';

const own = fileURLToPath(new URL('..', import.meta.url));
const command = toolCommand('golden', 'Boots captured machines, and prints how their facts compare with those of their real kernels.')
  .argument('[dir...]', "folders of cases, a case, or a folder of boot logs (default: the project's own)")
  .option('--json', 'print JSON')
  .option('--all', 'show every difference, not only the first of each case')
  .parse();
const given = command.args;
const options = command.opts<{ json?: boolean; all?: boolean }>();

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
if (options.json) {
  const plain = results.map(({ leftOut, ...result }) => ({ ...result, leftOut: Object.fromEntries(leftOut) }));
  process.stdout.write(`${JSON.stringify({ ...summarize(results), results: plain }, undefined, 1)}\n`);
} else {
  process.stdout.write(formatReport(results, options.all));
}
process.exitCode = results.every(({ differences }) => differences.length === 0) ? 0 : 1;

function fail(message: string): never {
  process.stderr.write(`golden: ${message}\n`);
  process.exit(2);
}
