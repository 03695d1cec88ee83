/**
 * Runs every benchmark in turn: `node tools/bench/bench.js [boot] [buddy] [block] [nbd]`.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolCommand } from '@holdfast/command-line';

const ALL = ['boot', 'buddy', 'block', 'nbd'];
const command = toolCommand('bench', 'Runs benchmarks in turn.');
const [chosen] = command.addArgument(command.createArgument('[benchmark...]', 'only these').choices(ALL)).parse().processedArgs;
for (const name of chosen.length > 0 ? chosen : ALL) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), `${name}.js`)], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
