/** `ndctl create-nfit`: write an NFIT of ranges of persistent memory, for a machine whose firmware has none. Mirrors ndctl's ndctl/create-nfit.c. */
import { SPA_GUIDS, encodeNfit } from '@holdfast/acpi';
import { type VfsNode, resolveOrCreate, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { type NdctlContext, error, exitStatus } from './context.js';
import { type OptionSpec, exitWithUsage, parseOptions } from './parse-options.js';
import { parseSize64 } from './size.js';

const DEFAULT_NFIT = 'local_nfit.bin';
const USAGE = 'ndctl create-nfit [<options>]';
const OPTIONS: readonly OptionSpec[] = [
  {
    short: 'a', long: 'add-spa', value: 'size,offset', help: 'add a system-physical-address range table entry',
    check: (value) => (parseSpa(value) ? undefined : `failed to parse --add-spa=${value}\n`),
  },
  { short: 'o', long: '', value: 'file', help: `output to <file> (default: ${DEFAULT_NFIT})` },
  { short: 'f', long: 'force', help: 'overwrite <file> if it already exists' },
];

interface Spa {
  readonly size: number;
  readonly offset: number;
}

function parseSpa(text: string): Spa | undefined {
  const comma = text.indexOf(',');
  if (comma < 0) return undefined;
  const [size, offset] = [parseSize64(text.slice(0, comma)), parseSize64(text.slice(comma + 1))];
  return size && offset ? { size: size.bytes, offset: offset.bytes } : undefined;
}

export function createNfit(ctx: NdctlContext, args: readonly string[]): number {
  const { has, value, values, operands } = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  const spas = values('add-spa').map((text) => parseSpa(text)!); // the parser has checked them
  for (const operand of operands) error(ctx, `unknown parameter "${operand}"\n`);
  if (spas.length === 0) error(ctx, 'specify at least one --add-spa= option\n');
  if (operands.length > 0 || spas.length === 0) exitWithUsage(ctx, USAGE, OPTIONS);
  const path = value('') ?? DEFAULT_NFIT;
  const table = nfitOf(spas);
  try {
    writeTable(ctx, path, table, has('force'));
  } catch (refused) {
    if (!(refused instanceof KernelError)) throw refused;
    error(ctx, refused.code === 'EEXIST' ? `"${path}" exists, overwrite with --force\n` : `Failed to open "${path}": ${strerror(refused.code)}\n`);
    return exitStatus(refused.code);
  }
  ctx.line(`wrote ${table.length} bytes to ${path}`);
  return 0;
}

/** One range of persistent memory each, numbered from one on, of no DIMM and of no proximity domain. */
function nfitOf(spas: readonly Spa[]): Uint8Array {
  return encodeNfit({
    spaRanges: spas.map(({ size, offset }, index) => ({
      rangeIndex: index + 1, flags: 0, proximityDomain: 0, typeGuid: SPA_GUIDS.pm, address: offset, length: size, memoryAttribute: 0n,
    })),
  }, { oemId: 'LOCAL', oemTableId: '\x01', oemRevision: 1, creatorId: '\0\0\x86\x80', creatorRevision: 1 });
}

/** @throws KernelError EEXIST without `force`, ENOENT, EACCES … */
function writeTable({ root, resolve }: NdctlContext, path: string, table: Uint8Array, force: boolean): void {
  const node = existing(root, resolve(path));
  if (node && !force) throw new KernelError('EEXIST', `there is a ${path} already`);
  const target = node ?? resolveOrCreate(root, resolve(path), 0o640);
  if (target.kind !== 'regular') throw new KernelError(target.kind === 'dir' ? 'EISDIR' : 'EACCES', `${path} is no regular file`);
  const file = target.open({ write: true });
  try {
    file.truncate(0);
    file.pwrite(table, 0);
  } finally {
    file.close();
  }
}

function existing(root: NdctlContext['root'], path: string): VfsNode | undefined {
  try {
    return resolvePath(root, path).node;
  } catch (refused) {
    if (refused instanceof KernelError && refused.code === 'ENOENT') return undefined;
    throw refused;
  }
}
