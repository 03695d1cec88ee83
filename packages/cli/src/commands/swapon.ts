/** swapon(8) and swapoff(8), in busybox's words: take a device as a swap area, and let go of it. */
import { readFile } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

const HIGHEST_PRIORITY = 32767;

export const swapon: Command = {
  usage: 'swapon [-p PRIO] DEVICE…',
  help: '-p PRIO   areas of a higher priority are used first',
  run(io) {
    const options = getopt(io.args, { long: { priority: true }, short: { p: 'priority' } });
    const text = options.value('priority');
    if (text !== undefined && !(/^\d+$/.test(text) && Number(text) <= HIGHEST_PRIORITY)) throw new UsageError(`invalid number '${text}'`);
    const prio = text === undefined ? undefined : Number(text);
    return forEach(io, 'swapon', options.operands, (path) => io.kernel.swap.swapon(path, prio));
  },
};

export const swapoff: Command = {
  usage: 'swapoff [-a] [DEVICE]…',
  help: '-a   all areas in use',
  run(io) {
    const options = getopt(io.args, { long: { all: false }, short: { a: 'all' } });
    const devices = options.has('all') ? inUse(io) : options.operands;
    return forEach(io, 'swapoff', devices, (path) => io.kernel.swap.swapoff(path), options.has('all'));
  },
};

function inUse({ root }: CommandIo): string[] {
  const text = readFile(root, '/proc/swaps') as string;
  return text.split('\n').slice(1, -1).map((row) => row.split(' ')[0]!);
}

/** Each device; the status says whether one failed. */
function forEach({ resolve, err, explain }: CommandIo, name: string, devices: readonly string[], call: (path: string) => void, mayBeNone = false): number {
  if (devices.length === 0 && !mayBeNone) throw new UsageError('expected a device');
  let status = 0;
  for (const device of devices) {
    try {
      call(resolve(device));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      err(`${name}: ${device}: ${strerror(error.code)}`);
      explain({ rule: error.message });
      status = 1;
    }
  }
  return status;
}
