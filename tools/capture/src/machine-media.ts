/** What QEMU's arguments say of NVDIMMs and of RAM in files. */
import type { E820Range } from '@holdfast/cli';
import type { CaseDescription } from './describe-case.js';
import type { MediaLayout } from './media-dump.js';

const GIB = 2 ** 30;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: GIB, t: 2 ** 40 };

export interface Dimm {
  /** The NFIT handle that QEMU gives by slot. */
  readonly handle: number;
  readonly labelBytes: number;
  readonly mediaBytes: number;
  /** Name of the backing file, or undefined where its bytes are in no file. */
  readonly image: string | undefined;
}

/** The NVDIMMs, in the order of their slots. */
export function dimmsOf({ qemu }: CaseDescription): Dimm[] {
  const backends = new Map(propsOf(qemu, '-object').map(({ props }) => [props.get('id'), props]));
  return propsOf(qemu, '-device').filter(({ kind }) => kind === 'nvdimm').map(({ props }, slot) => {
    const backend = backends.get(props.get('memdev'));
    const labelBytes = sizeOf(props.get('label-size') ?? '0');
    return { handle: slot + 1, labelBytes, mediaBytes: sizeOf(backend?.get('size') ?? '0') - labelBytes, image: backingName(backend?.get('mem-path')) };
  });
}

/** A DIMM of RAM that is there when the guest starts, as `memory-devices.json` of a firmware description says it. */
export interface MemoryDevice {
  readonly id: string;
  readonly memdev: string;
  readonly size: number;
  readonly node?: number;
  readonly addr?: number;
}

/** The DIMMs of RAM, in the order of their slots. */
export function memoryDevicesOf({ qemu }: CaseDescription): MemoryDevice[] {
  const backends = new Map(propsOf(qemu, '-object').map(({ props }) => [props.get('id'), props]));
  return propsOf(qemu, '-device').filter(({ kind }) => kind === 'pc-dimm').map(({ props }, slot) => {
    const memdev = props.get('memdev') ?? '';
    const numbers = (['node', 'addr'] as const).flatMap((name) => (props.has(name) ? [[name, Number(props.get(name))]] : []));
    return { id: props.get('id') ?? `dimm${slot}`, memdev, size: sizeOf(backends.get(memdev)?.get('size') ?? '0'), ...Object.fromEntries(numbers) as object };
  });
}

/** How persistent memory lies in each backing file; `ranges` are the legacy pmem ranges of the map that the guest used. */
export function layoutOf(description: CaseDescription, map: readonly E820Range[]): Map<string, MediaLayout> {
  const dimms = dimmsOf(description).filter(({ image }) => image !== undefined);
  const layouts = new Map(dimms.map(({ image, mediaBytes, labelBytes }) => [image!, { ranges: [{ start: 0, end: mediaBytes }], labelBytes }]));
  const memory = description.qemu[description.qemu.indexOf('-m') + 1] ?? '';
  for (const name of Object.keys(description.backing).filter((each) => !layouts.has(each))) {
    const legacy = map.filter(({ type }) => type === 'persistent (type 12)');
    const offset = (address: number): number => (address < 4 * GIB ? address : address - 4 * GIB + lowRam(description.qemu, sizeOf(memory.split(',')[0]!)));
    layouts.set(name, { ranges: legacy.map(({ start, end }) => ({ start: offset(Number(start)), end: offset(Number(end)) + 1 })), labelBytes: 0 });
  }
  return layouts;
}

/** RAM below 4 GiB: what does not fit below the machine's PCI hole goes above (QEMU: pc_memory_init, pc_q35_init). */
function lowRam(qemu: readonly string[], ramBytes: number): number {
  const isQ35 = qemu.some((arg) => arg.startsWith('q35'));
  const [limit, low] = isQ35 ? [2.75 * GIB, 2 * GIB] : [3.5 * GIB, 3 * GIB];
  return ramBytes >= limit ? low : ramBytes;
}

/** `1G`; a number without a unit is bytes to `-object`. */
export function sizeOf(text: string): number {
  const match = /^(0x[0-9a-f]+|\d+)([kmgt]?)b?$/i.exec(text);
  return match ? Number(match[1]) * UNITS[match[2]!.toLowerCase()]! : 0;
}

function propsOf(qemu: readonly string[], option: string): { kind: string; props: Map<string, string> }[] {
  return qemu.flatMap((arg, index) => {
    if (qemu[index - 1] !== option) return [];
    const [kind = '', ...pairs] = arg.split(',');
    return [{ kind, props: new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])) }];
  });
}

function backingName(path: string | undefined): string | undefined {
  return path?.startsWith('{B}/') ? path.slice('{B}/'.length) : undefined;
}
