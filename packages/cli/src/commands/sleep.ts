/** sleep(1) in virtual time: returns at once, and the machine's clock has gone on. */
import type { Command } from '../console/command.js';
import { UsageError } from '../console/getopt.js';

const SECONDS: Record<string, number> = { '': 1, s: 1, m: 60, h: 3600, d: 86400 };

export const sleep: Command = {
  usage: 'sleep NUMBER[s|m|h|d]…',
  run({ args, kernel }) {
    if (args.length === 0) throw new UsageError('missing operand');
    for (const arg of args) {
      const match = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(arg);
      const ns = match ? Math.round(Number(match[1]) * SECONDS[match[2]!]! * 1e9) : NaN;
      if (!Number.isSafeInteger(ns)) throw new UsageError(`invalid number '${arg}'`);
      kernel.sleep(ns);
    }
  },
};
