/** readlink(1): where a link leads; `-f` the canonical path. */
import { resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const readlink: Command = {
  usage: 'readlink [-f] PATH…',
  run({ args, root, resolve, out }) {
    const { has, operands } = getopt(args, { short: { f: 'canonicalize' }, long: { canonicalize: false } });
    if (operands.length === 0) throw new UsageError('missing operand');
    let status = 0;
    for (const operand of operands) {
      try {
        const { node, path } = resolvePath(root, resolve(operand), { follow: has('canonicalize') });
        if (has('canonicalize')) out(`${path}\n`);
        else if (node.kind === 'link') out(`${node.target}\n`);
        else status = 1;
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        status = 1;
      }
    }
    return status;
  },
};
