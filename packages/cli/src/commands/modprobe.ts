/** modprobe(8): every driver that this kernel has is built in, so there is nothing to load; the name is taken, and nothing happens. */
import type { Command } from '../console/command.js';
import { UsageError } from '../console/getopt.js';

export const modprobe: Command = {
  usage: 'modprobe [-rq] MODULE [NAME=VALUE]…',
  run({ args }) {
    if (args.every((arg) => arg.startsWith('-'))) throw new UsageError('no module is named');
  },
};
