/**
 * The published microbenchmarks of DRAM and Optane on the simulated machine: virtual time, the published figure, and by how much the two
 * differ. The same on every host; the table is checked by packages/machine/src/published.test.ts.
 *
 *   node tools/bench/microbench.js [--json]      (after a build)
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { deviation, formatTable, microbenchmarks } from '../../packages/machine/bench/published.js';

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const dist = join(dirname(fileURLToPath(import.meta.url)), '../../packages/machine/dist/index.js');
const rows = microbenchmarks(await import(pathToFileURL(dist).href));
console.log(options.json ? JSON.stringify(rows.map((row) => ({ ...row, deviation: deviation(row) })), null, 2) : formatTable(rows));
