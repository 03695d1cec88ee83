/**
 * The published microbenchmarks of DRAM and Optane on the simulated machine: virtual time, the published figure, and by how much the two
 * differ. The same on every host; the table is checked by packages/machine/src/published.test.ts.
 *
 *   node tools/bench/microbench.js --help        (after a build)
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toolCommand } from '@holdfast/command-line';
import { deviation, formatTable, microbenchmarks } from '../../packages/machine/bench/published.js';

const { json } = toolCommand('microbench', 'Puts published microbenchmarks of DRAM and Optane beside the simulated machine, in virtual time.')
  .option('--json', 'print JSON')
  .parse()
  .opts();
const dist = join(dirname(fileURLToPath(import.meta.url)), '../../packages/machine/dist/index.js');
const rows = microbenchmarks(await import(pathToFileURL(dist).href));
console.log(json ? JSON.stringify(rows.map((row) => ({ ...row, deviation: deviation(row) })), null, 2) : formatTable(rows));
