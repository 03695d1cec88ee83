/** poweroff(8): the kernel stops in order, and the machine is off. */
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';

export const poweroff: Command = {
  usage: 'poweroff',
  run({ args, system }) {
    getopt(args, { short: { f: 'force', d: 'delay' }, long: { force: false, delay: true } });
    if (system.poweredOn) system.poweroff();
  },
};
