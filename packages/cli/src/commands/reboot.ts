/** reboot(8): the kernel stops in order, and the machine boots again. */
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';

export const reboot: Command = {
  usage: 'reboot',
  run({ args, system }) {
    getopt(args, { short: { f: 'force', d: 'delay' }, long: { force: false, delay: true } });
    system.reboot();
  },
};
