/** uname(1). */
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';

const FIELDS = { s: 'kernel-name', n: 'nodename', r: 'kernel-release', v: 'kernel-version', m: 'machine', o: 'operating-system' };

export const uname: Command = {
  usage: 'uname [-asnrvmo]',
  run({ args, kernel, out }) {
    const { has } = getopt(args, { short: { a: 'all', ...FIELDS }, long: Object.fromEntries(['all', ...Object.values(FIELDS)].map((name) => [name, false])) });
    const values: Record<string, string> = {
      'kernel-name': 'Linux',
      nodename: 'holdfast',
      'kernel-release': kernel.release.text,
      'kernel-version': '#1 SMP PREEMPT_DYNAMIC Holdfast',
      machine: 'x86_64',
      'operating-system': 'GNU/Linux',
    };
    const chosen = Object.keys(values).filter((name) => has('all') || has(name));
    out(`${(chosen.length > 0 ? chosen : ['kernel-name']).map((name) => values[name]).join(' ')}\n`);
  },
};
