/**
 * Runs every benchmark in turn: `node tools/bench/bench.js [boot] [buddy] [block] [nbd]`.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ALL = ['boot', 'buddy', 'block', 'nbd'];
const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !ALL.includes(name));
if (unknown !== undefined) {
  console.error(`bench: no benchmark '${unknown}': expected ${ALL.join(', ')}`);
  process.exit(2);
}
for (const name of chosen.length > 0 ? chosen : ALL) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), `${name}.js`)], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
