/**
 * lspci(8): PCI devices as sysfs shows them. Mirrors pciutils 3.9: `-n` numbers, `-nn` both, `-v` more, `-k` drivers, `-s` one slot.
 */
import type { VfsDir } from '@holdfast/kernel';
import { humanSize } from '../console/smartcols.js';
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';
import { dirAt, textAt } from '../facts/sysfs.js';
import { resolvePath } from '@holdfast/kernel';

const DEVICES = '/sys/bus/pci/devices';
const CLASSES: Readonly<Record<string, string>> = {
  '0500': 'RAM memory',
  '0604': 'PCI bridge',
  '0600': 'Host bridge',
  '0880': 'System peripheral',
  '0000': 'Non-VGA unclassified device',
};
/** What pci.ids would be asked for; ours are not in it. */
const NAMES: Readonly<Record<string, string>> = { '4846:504d': 'Holdfast Persistent memory card', '4846:4453': 'Holdfast DMA engine' };

export const lspci: Command = {
  usage: 'lspci [-n | -nn] [-v] [-k] [-D] [-s [[[[domain]:]bus]:][slot][.fn]]',
  run({ args, root, out }) {
    const { has, value } = getopt(withDoubleN(args), {
      short: { n: 'numeric', N: 'both', v: 'verbose', k: 'kernel', D: 'domain', s: 'slot' },
      long: { numeric: false, both: false, verbose: false, kernel: false, domain: false, slot: true },
    });
    const wanted = value('slot');
    const names = [...(dirAt(root, DEVICES)?.list() ?? [])].sort().filter((name) => wanted === undefined || matchesSlot(name, wanted));
    const numbers = has('both') ? 'both' : has('numeric') ? 'only' : 'none';
    for (const name of names) {
      out(`${has('domain') ? name : name.slice('0000:'.length)} ${titleOf(root, name, numbers)}\n`);
      if (has('verbose')) out(detailsOf(root, name));
      if (has('kernel') || has('verbose')) out(driverOf(root, name));
      if (has('verbose')) out('\n');
    }
    return 0;
  },
};

/** getopt knows an option by its letter, so `-nn` becomes a letter of its own. */
function withDoubleN(args: readonly string[]): string[] {
  return args.map((arg) => (/^-[a-zA-Z]*nn/.test(arg) ? arg.replace('nn', 'N') : arg));
}

/** `04`, `04.0`, `00:04.0` and `0000:00:04.0` all name the same function. */
function matchesSlot(name: string, wanted: string): boolean {
  const full = /^(?:(?:([0-9a-f]+):)?([0-9a-f]+):)?([0-9a-f]+)?(?:\.([0-7]))?$/i.exec(wanted);
  const own = /^([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-7])$/.exec(name)!;
  return full !== null && [1, 2, 3, 4].every((part) => full[part] === undefined || parseInt(full[part], 16) === parseInt(own[part]!, 16));
}

function idOf(root: VfsDir, name: string, attribute: string): string {
  return textAt(root, `${DEVICES}/${name}/${attribute}`)?.slice(2) ?? '';
}

function titleOf(root: VfsDir, name: string, numbers: 'none' | 'only' | 'both'): string {
  const classId = idOf(root, name, 'class').slice(0, 4);
  const ids = `${idOf(root, name, 'vendor')}:${idOf(root, name, 'device')}`;
  const revision = idOf(root, name, 'revision');
  const rev = revision === '00' || revision === '' ? '' : ` (rev ${revision})`;
  if (numbers === 'only') return `${classId}: ${ids}${rev}`;
  const className = CLASSES[classId] ?? 'Class';
  const deviceName = NAMES[ids] ?? 'Device';
  if (numbers === 'both') return `${className} [${classId}]: ${deviceName} [${ids}]${rev}`;
  return `${CLASSES[classId] ? className : `Class ${classId}`}: ${NAMES[ids] ?? `Device ${ids}`}${rev}`;
}

/** Lines of `resource` as lspci writes regions. */
function detailsOf(root: VfsDir, name: string): string {
  const subsystem = `${idOf(root, name, 'subsystem_vendor')}:${idOf(root, name, 'subsystem_device')}`;
  const enabled = commandOf(root, name);
  const flags = [...((enabled & 4) !== 0 ? ['bus master'] : []), 'fast devsel', `latency 0`];
  const lines = [`\tSubsystem: Device ${subsystem}`, `\tFlags: ${flags.join(', ')}`];
  const rows = (textAt(root, `${DEVICES}/${name}/resource`) ?? '').split('\n').slice(0, 6);
  for (const row of rows) {
    const [start = 0n, end = 0n, type = 0n] = row.split(' ').map((word) => BigInt(word || 0));
    if (type === 0n) continue;
    const size = humanSize(Number(end - start + 1n));
    const isIo = (type & 0x100n) !== 0n;
    const off = (enabled & (isIo ? 1 : 2)) === 0 ? ' [disabled]' : '';
    const place = start === 0n ? '<unassigned>' : start.toString(16).padStart(isIo ? 4 : 8, '0');
    if (isIo) lines.push(`\tI/O ports at ${place}${off} [size=${size}]`);
    else {
      lines.push(
        `\tMemory at ${place} (${(type & 0x100000n) !== 0n ? '64' : '32'}-bit, ${(type & 0x2000n) !== 0n ? '' : 'non-'}prefetchable)${off} [size=${size}]`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function commandOf(root: VfsDir, name: string): number {
  const { node } = resolvePath(root, `${DEVICES}/${name}/config`);
  const config = node.kind === 'file' ? node.read?.() : undefined;
  return config instanceof Uint8Array ? config[4]! : 0;
}

function driverOf(root: VfsDir, name: string): string {
  const { node } = resolvePath(root, `${DEVICES}/${name}`);
  const link = node.kind === 'dir' ? node.lookup('driver') : undefined;
  return link?.kind === 'link' ? `\tKernel driver in use: ${link.target.split('/').at(-1)}\n` : '';
}
