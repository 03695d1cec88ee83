/**
 * What cannot be equal, or is not mirrored yet: each by name, with the reason. Nothing else is left out of a comparison.
 */
import type { LeaveOut } from './compare.js';
import type { CapturedCommand, GoldenCase } from './load-case.js';

interface NotCompared {
  /** Paths of facts, such as `captures.boot.zones[0 DMA].managed`. */
  readonly path: RegExp;
  readonly reason: string;
  /** Of `commands[n]…`, only those with such a command line. */
  readonly cmd?: RegExp;
  /** Of `commands[n]…`, only those that went so on the real kernel. */
  readonly command?: (command: CapturedCommand) => boolean;
  /** All cases, if left out. */
  readonly when?: (golden: GoldenCase) => boolean;
  /** Whatever the real kernel said, if left out; undefined is what it did not say. */
  readonly real?: (value: unknown) => boolean;
}

const hasSeveralDisks = ({ expected }: GoldenCase): boolean => Object.values(expected.captures).some(({ block }) => Object.keys(block ?? {}).length > 1);
const answersBeforeKernel = ({ commands }: GoldenCase): boolean => commands.every(({ cmd, dmesg = [] }) => !cmd.startsWith('host ') || dmesg.length === 0);
const tookNoCapture = ({ expected }: GoldenCase): boolean => Object.keys(expected.captures).length === 0;

/** A guest is busybox, the tools of the file systems, and ndctl. */
function lacksProgram({ stdout, stderr = [] }: CapturedCommand): boolean {
  return [...stderr, typeof stdout === 'string' ? stdout : ''].some((line) => /^sh: \S+: not found$/m.test(line));
}

export const NOT_COMPARED: readonly NotCompared[] = [
  { path: /^kernel$/, reason: 'names the vendor build of the kernel' },
  {
    path: /\.zones\[.*\]\.(?:managed|min|low|high|protection.*)$/,
    reason: 'managed pages depend on the kernel image, the initramfs and early allocations; watermarks follow from them',
  },
  { path: /^memblock\.memory\.(?:available_kb|detail)$/, reason: 'sizes of the kernel image and of early allocations' },
  { path: /^memblock\.node_data/, reason: 'where memblock finds room depends on earlier allocations: initramfs, page tables' },
  { path: /\.block\.[\w.]+\.dev$/, when: hasSeveralDisks, reason: 'disks are probed asynchronously, and take their minors as they come' },
  { path: /^firmware_memmap/, when: tookNoCapture, reason: 'the guest never listed /sys/firmware/memmap' },
  {
    path: /\.dmesg\[\d+\]$/, real: (value) => /^Built \d+ zonelists/.test(String(value)),
    reason: 'the line counts managed pages, which depend on the kernel image',
  },
  {
    path: /\.dmesg\[\d+\]$/, real: (value) => /^(?:page:|flags: 0x|raw: )[0-9a-f]/.test(String(value)),
    reason: 'which page is in the way, and whose it is, depends on what the real kernel had allocated',
  },
  { path: /^commands\[/, command: lacksProgram, reason: 'the guest had no such program' },
  { path: /\.stdout$/, cmd: /\/sys\/class\/\*/, reason: 'classes of hardware that has no part here' },
  {
    path: /\.stdout$/, cmd: /ls \/sys\/devices\/system\/memory /,
    reason: 'the distribution builds its kernel without the file probe (CONFIG_ARCH_MEMORY_PROBE)',
  },
  {
    path: /\.stdout$/, cmd: /(?:btt|pfn)\d+\.\*\//,
    reason: 'which of the claims of a region holds something is chance, and so is the order in which a pattern lists them',
  },
  {
    path: /\.dmesg(?:\[\d+\])?$/, cmd: /^host /, when: answersBeforeKernel,
    reason: 'the monitor answers at once, and the kernel logs what it makes of it later',
  },
];

/** Commands that are replayed. The first other one ends a replay, for what comes behind it depends on it. */
export const REPLAYED =
  /^(?:lite|cat|ls|dd|blockdev|grep|head|lsmem|lsblk|uname|dmesg|sync|sleep|echo|host|ndctl|daxctl|modprobe|exec|true|cd|for|printf|uniq|cut|df|stat|blkid|dumpe2fs|probe|blkdiscard|mkswap|swapon|swapoff|mkfs|mke2fs|mount|umount|xfs_io|mkdir|rm|sort|find|wc|mountpoint|readlink|od|sed|tail)\b/;

/** Why the rest of a guest script is not replayed. */
export function whyNotReplayed(line: string): string {
  const word = /^(?:run\s+)?"?(\w+)/.exec(line)?.[1] ?? line;
  return `commands behind '${word}', which the console does not have yet`;
}

export function reasonFor(golden: GoldenCase, commands: readonly CapturedCommand[]): LeaveOut {
  const rules = NOT_COMPARED.filter(({ when }) => !when || when(golden));
  return (path, expected) => {
    const ran = commands[Number(/^commands\[(\d+)\]/.exec(path)?.[1] ?? -1)];
    return leaveOutBy(rules.filter(({ cmd, command }) => (!cmd || (ran && cmd.test(ran.cmd))) && (!command || (ran && command(ran)))))(path, expected);
  };
}

function leaveOutBy(rules: readonly NotCompared[]): LeaveOut {
  return (path, expected) => rules.find((rule) => rule.path.test(path) && (!rule.real || rule.real(expected)))?.reason;
}

/**
 * The facts without what chance decides: UUIDs, and the numbers of btt, pfn and dax devices, which tell which of several threads of the real
 * kernel probed first, and nothing else. All that they hold is compared.
 */
export function withoutChance(facts: unknown, name = ''): unknown {
  if (typeof facts === 'string') return textWithoutChance(facts, name);
  if (Array.isArray(facts)) return facts.filter((line) => !isOfMappings(line)).map((item) => withoutChance(item, name));
  if (typeof facts !== 'object' || facts === null) return facts;
  const entries = Object.entries(facts).filter(([key]) => !/^(?:raw_)?uuid$/.test(key));
  return Object.fromEntries((name === 'nd' ? withClaimsByUse(entries) : entries).map(([key, value]) => [key, withoutChance(value, key)]));
}

/** Where check-namespace mapped the media, in a process that ours is not. */
function isOfMappings(line: unknown): boolean {
  return typeof line === 'string' && /: btt_(?:mmap|unmap): addr = /.test(line);
}

const CLAIM = /\b(btt|pfn|dax)(\d+)\.\d+\b/g;

/** Text that names claims: what tools say, what the kernel logs, paths, and attributes that lead to one. */
function textWithoutChance(text: string, name: string): string {
  if (/^(?:btt|pfn|dax)_seed$|^(?:stderr|error|dmesg|holder|path)$/.test(name)) return withoutPlace(text).replace(CLAIM, '$1$2.n');
  return name === 'stdout'
    ? withoutTimes(withoutNumbers(withoutPage(text)))
        .replace(/^UUID=[-0-9a-f]{36}$/gm, 'UUID=*')
        .replace(/"uuid":"[-0-9a-f]{36}"/g, '"uuid":"*"')
    : text;
}

/** Lists of devices name claims, too, by their directories or one a line. */
function withoutNumbers(text: string): string {
  return text.replace(/^((?:\S*\/)?(?:btt|pfn)\d+)\.\d+(?=\/|$)/gm, '$1.n');
}

/** How many milliseconds I/O took is a matter of the host: columns of /sys/block/D/stat, and of /proc/diskstats behind a disk's numbers and name. */
function withoutTimes(text: string): string {
  return text.replace(/^(\s*\d+\s+\d+ \S+ )?((?:\s*\d+){17})$/gm, (_all, disk: string | undefined, numbers: string) => {
    const fields = numbers.trim().split(/\s+/);
    for (const at of [3, 7, 9, 10, 14, 16]) fields[at] = '*';
    return (disk ?? '') + fields.join(' ');
  });
}

/**
 * Which page of the address space a mapping got is random, too; that it is a page is not, and that one of 2 MiB and more begins at a multiple
 * of that only where the file asks for it.
 */
function withoutPage(text: string): string {
  return text.replace(/^(mmap \S+ \d+ (\d+) .*va-mod-2M=0x)([0-9a-f]*000|0) (?=touch)/gm, (all, start: string, length: string, place: string) => (
    Number(length) < 2 ** 21 || place !== '0' ? `${start}* ` : all
  ));
}

/** Where a process's mapping was to lie is random on the real kernel; how long it was is not. */
function withoutPlace(text: string): string {
  return text.replace(
    /unaligned vma \((0x[0-9a-f]+) - (0x[0-9a-f]+),/,
    (_all, start: string, end: string) => `unaligned vma of ${Number(end) - Number(start)} (`,
  );
}

/** Claims under what they are: the idle ones of a region, and those that hold something, in the order of what they hold. */
function withClaimsByUse(entries: [string, unknown][]): [string, unknown][] {
  const counts = new Map<string, number>();
  const order = [...entries].sort(([, a], [, b]) => rank(a) - rank(b));
  return order.map(([name, value]) => {
    const match = /^(btt|pfn|dax)(\d+)\.\d+$/.exec(name);
    if (!match) return [name, value];
    const use = `${match[1]}${match[2]}.${isIdle(value) ? 'seed' : 'claim'}`;
    const count = counts.get(use) ?? 0;
    counts.set(use, count + 1);
    return [count === 0 ? use : `${use}${count}`, value];
  });
}

function isIdle(value: unknown): boolean {
  const { driver = '', namespace = '', size } = value as Record<string, unknown>;
  return driver === '' && namespace === '' && size === undefined;
}

function rank(value: unknown): number {
  const { resource, size } = value as Record<string, unknown>;
  return Number(resource ?? 0) + Number(size ?? 0) / 2 ** 60;
}
