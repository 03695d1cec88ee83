/**
 * Mount options of ext4, and of ext2 as ext4 serves it. Mirrors fs/ext4/super.c: ext4_param_specs, ext4_parse_param, ext4_set_def_opts,
 * _ext4_show_options (6.1).
 */
import { KERN, KernelError, PAGE_SIZE, type Printk } from '@holdfast/lib';
import { type ParameterSpecs, checkParameters } from '../fs-parameters.js';
import type { FsParameter } from '../super-block.js';
import { COMPAT, RO_COMPAT, type Superblock, blockSizeOf, hasCompat, hasRoCompat } from './superblock.js';

export type DataMode = 'journal' | 'ordered' | 'writeback';
export type DaxOption = 'always' | 'inode' | 'never';

/** Options that are on or off, by the names that /proc/mounts shows for either, in its order; and what is on without a word. */
const SWITCHES = [
  { on: 'minixdf', off: 'bsddf', initial: () => false },
  { on: 'grpid', off: 'nogrpid', initial: () => false },
  { on: 'block_validity', off: 'noblock_validity', initial: () => true },
  { on: 'dioread_nolock', off: 'nodioread_nolock', initial: (sb: Superblock) => blockSizeOf(sb) === PAGE_SIZE },
  { on: 'discard', off: 'nodiscard', initial: () => false },
  { on: 'delalloc', off: 'nodelalloc', initial: (_: Superblock, isExt4: boolean) => isExt4 },
  { on: 'journal_checksum', off: 'nojournal_checksum', initial: (sb: Superblock) => hasRoCompat(sb, RO_COMPAT.METADATA_CSUM) },
  { on: 'journal_async_commit', off: '', initial: () => false },
  { on: 'norecovery', off: '', initial: () => false },
  { on: 'barrier', off: 'nobarrier', initial: () => true },
  { on: 'auto_da_alloc', off: 'noauto_da_alloc', initial: () => true },
  { on: 'init_itable', off: 'noinit_itable', initial: () => true },
  { on: 'user_xattr', off: 'nouser_xattr', initial: () => true },
  { on: 'acl', off: 'noacl', initial: () => true },
  { on: 'nouid32', off: '', initial: () => false },
  { on: 'debug', off: '', initial: () => false },
] as const;

const FLAG = { kind: 'flag' } as const;

/** Options that are taken, and change nothing here. */
const PASSED = ['no_prefetch_block_bitmaps', 'lazytime', 'nolazytime', 'warn_on_error', 'nowarn_on_error'];
/** Options of older kernels, which the log tells of (Opt_removed). */
const REMOVED = [
  'nocheck', 'reservation', 'noreservation', 'bh', 'nobh', 'oldalloc', 'orlov', 'mblk_io_submit', 'nomblk_io_submit', 'prefetch_block_bitmaps',
  'i_version',
];

const SPECS: ParameterSpecs = {
  ...Object.fromEntries([...PASSED, ...REMOVED].map((name) => [name, FLAG])),
  ...Object.fromEntries(SWITCHES.flatMap(({ on, off }) => [on, off]).filter((name) => name !== '').map((name) => [name, FLAG])),
  noload: FLAG,
  dioread_lock: FLAG,
  sysvgroups: FLAG,
  bsdgroups: FLAG,
  barrier: { kind: 'optional-number' },
  auto_da_alloc: { kind: 'optional-number' },
  init_itable: { kind: 'optional-number' },
  dax: [FLAG, { kind: 'enum', values: ['always', 'inode', 'never'] }],
  data: { kind: 'enum', values: ['journal', 'ordered', 'writeback'] },
  errors: { kind: 'enum', values: ['continue', 'panic', 'remount-ro'] },
  data_err: { kind: 'enum', values: ['abort', 'ignore'] },
  commit: { kind: 'number' },
  stripe: { kind: 'number' },
  sb: { kind: 'number' },
  resuid: { kind: 'number' },
  resgid: { kind: 'number' },
  max_batch_time: { kind: 'number' },
  min_batch_time: { kind: 'number' },
  inode_readahead_blks: { kind: 'number' },
  max_dir_size_kb: { kind: 'number' },
  journal_ioprio: { kind: 'number' },
};

/** `dax=` with a word; `dax` alone is older. */
const EXT4_ONLY = [
  'delalloc', 'nodelalloc', 'dioread_nolock', 'nodioread_nolock', 'dioread_lock', 'journal_checksum', 'nojournal_checksum', 'journal_async_commit',
  'dax=',
];

/** What makes no sense without a journal (MOPT_NO_EXT2) or without ext4 (MOPT_EXT4_ONLY), by the type's name. */
const NOT_FOR: Readonly<Record<string, readonly string[]>> = {
  ext2: [...EXT4_ONLY, 'data', 'noload', 'norecovery', 'data_err', 'commit', 'journal_ioprio'],
  ext3: EXT4_ONLY,
};

export interface Ext4Options {
  readonly dax: DaxOption | undefined;
  readonly data: DataMode | undefined;
  readonly switches: ReadonlyMap<string, boolean>;
  /** Numbers and words that were given, by their names. */
  readonly values: ReadonlyMap<string, string>;
}

/** @throws KernelError EINVAL; the log says why */
export function parseExt4Options(type: string, parameters: readonly FsParameter[], printk: Printk): Ext4Options {
  checkParameters(type, parameters, SPECS, printk);
  let dax: DaxOption | undefined;
  let data: DataMode | undefined;
  const switches = new Map<string, boolean>();
  const values = new Map<string, string>();
  for (const { key, value } of parameters) {
    const found = SWITCHES.find(({ on, off }) => on === key || off === key);
    if (key === 'dax') dax = value === undefined ? 'always' : (value as DaxOption);
    else if (key === 'data') data = value as DataMode;
    else if (key === 'noload') switches.set('norecovery', true);
    else if (key === 'dioread_lock') switches.set('dioread_nolock', false);
    else if (REMOVED.includes(key)) printk(`EXT4-fs: Ignoring removed ${key} option`, KERN.warning);
    else if (found) switches.set(found.on, found.on === key && value !== '0');
    const isNumber = found === undefined || key === 'init_itable'; // which is both
    if (isNumber && key !== 'dax' && key !== 'data' && value !== undefined) values.set(key, value);
  }
  return { dax, data, switches, values };
}

/** ext4_check_opt_consistency: is all of it for this type and its blocks? @throws KernelError EINVAL */
export function checkOptionsFor(type: string, sb: Superblock, parameters: readonly FsParameter[], printk: Printk): void {
  const wrong = parameters.find(({ key, value }) => NOT_FOR[type]?.includes(key === 'dax' && value !== undefined ? 'dax=' : key));
  if (!wrong) {
    const isSmall = blockSizeOf(sb) < PAGE_SIZE && parameters.some(({ key }) => key === 'dioread_nolock');
    if (isSmall) printk("EXT4-fs: Warning: mounting with an experimental mount option 'dioread_nolock' for blocksize < PAGE_SIZE", KERN.warning);
    return;
  }
  printk(`EXT4-fs: Mount option(s) incompatible with ${type}`, KERN.err);
  throw new KernelError('EINVAL', `mount option ${wrong.key} is not for ${type}`);
}

/** What /proc/mounts shows: what is not as it is without options. */
export function showExt4Options(type: string, sb: Superblock, options: Ext4Options): string {
  const isExt4 = type === 'ext4';
  const journalsData = options.data === 'journal';
  const shown: string[] = [];
  for (const { on, off, initial } of SWITCHES) {
    const before = initial(sb, isExt4);
    // Journalled data takes its own way: no delayed allocation, no reads without lock.
    const now = journalsData && (on === 'delalloc' || on === 'dioread_nolock') ? false : (options.switches.get(on) ?? before);
    if (now !== before) shown.push(now ? on : off);
  }
  const number = (name: string, usual: string): void => {
    const value = options.values.get(name);
    if (value !== undefined && Number(value) !== Number(usual)) shown.push(`${name}=${Number(value)}`);
  };
  number('resuid', '0');
  number('resgid', '0');
  const errors = options.values.get('errors');
  const usual = ['', 'continue', 'remount-ro', 'panic'][sb.errors];
  if (errors !== undefined && errors !== usual) shown.push(`errors=${errors}`);
  if (options.values.get('commit') !== '0') number('commit', '5');
  number('min_batch_time', '0');
  number('max_batch_time', '15000');
  const stripe = stripeSize(sb, options);
  if (stripe > 0) shown.push(`stripe=${stripe}`);
  if (options.data !== undefined && hasCompat(sb, COMPAT.HAS_JOURNAL)) shown.push(`data=${options.data}`);
  number('inode_readahead_blks', '32');
  number('init_itable', '10');
  number('max_dir_size_kb', '0');
  if (options.values.get('data_err') === 'abort') shown.push('data_err=abort');
  if (options.dax === 'always') shown.push(type === 'ext2' ? 'dax' : 'dax=always');
  else if (options.dax !== undefined) shown.push(`dax=${options.dax}`);
  return shown.map((option) => `,${option}`).join('');
}

/** ext4_get_stripe_size: what was asked for, or the array that mke2fs saw. */
function stripeSize({ raidStride, raidStripeWidth, blocksPerGroup }: Superblock, { values }: Ext4Options): number {
  const asked = Number(values.get('stripe') ?? 0);
  const found = [asked, raidStripeWidth, raidStride].find((width) => width > 0 && width <= blocksPerGroup) ?? 0;
  return found <= 1 ? 0 : found;
}
