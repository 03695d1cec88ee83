/**
 * `node tools/thread-mutations/dist/main.js [ROW…]`: a line for each mutation as it is done, then what is wrong with the tests.
 */
import { MUTATIONS } from './mutations.js';
import { findings, lineOf, writeTable } from './report.js';
import { type Outcome, runMutations } from './run.js';

const rows = process.argv.slice(2).map(Number);
const mutations = rows.length === 0 ? MUTATIONS : MUTATIONS.filter((mutation) => mutation.rows.some((row) => rows.includes(row)));
const outcomes: Outcome[] = [];
await runMutations(mutations, (outcome) => {
  outcomes.push(outcome);
  console.log(lineOf(outcome));
});
const found = findings(outcomes);
for (const line of found) console.log(line);
writeTable(outcomes);
process.exitCode = found.length > 0 ? 1 : 0;
