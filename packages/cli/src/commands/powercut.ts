/**
 * powercut: what only a simulator can do. The plug is pulled; what the persistence domain held stays, and of the rest an outcome that
 * x86 allows, chosen by the seed. Then the power comes back, and the machine boots.
 */
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const powercut: Command = {
  usage: 'powercut [--seed N]',
  help: 'Prints how many cache lines the cut found undecided, and how many of them were lost.',
  run({ args, system, out }) {
    const { value, operands } = getopt(args, { long: { seed: true } });
    if (operands.length > 0) throw new UsageError(`unexpected operand '${operands[0]}'`);
    const seed = value('seed') === undefined ? undefined : Number(value('seed'));
    if (seed !== undefined && (!Number.isSafeInteger(seed) || seed < 0)) throw new UsageError(`invalid seed '${value('seed')}': expected a whole number`);
    const { undecided, lost } = system.powercut(seed);
    out(`powercut: ${undecided} cache line${undecided === 1 ? '' : 's'} undecided, ${lost} lost\n`);
  },
};
