/**
 * `node tools/thread-mutations/dist/main.js [ROW…]`: a line for each mutation as it is done, then what is wrong with the tests.
 */
import { toolCommand, wholeNumber } from '@holdfast/command-line';
import { MUTATIONS } from './mutations.js';
import { findings, lineOf, writeTable } from './report.js';
import { ROWS } from './rows.js';
import { type Outcome, runMutations } from './run.js';

const command = toolCommand(
  'thread-mutations',
  'Takes each design of the thread out of the kernel, and sees that the tests named after its rows fail.',
)
  .argument('[row...]', 'only the mutations of these rows of the thread', (text: string, before: readonly number[] = []) => [
    ...before,
    wholeNumber(1, ROWS.at(-1))(text),
  ])
  .parse();
const rows = command.processedArgs[0] as readonly number[];
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
