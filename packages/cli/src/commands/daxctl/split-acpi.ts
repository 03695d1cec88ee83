/**
 * `daxctl split-acpi`: cut a proximity domain in the firmware's tables. Mirrors ndctl's daxctl/acpi.c up to where it has found the tables.
 * What it writes is for a real machine to load at its next boot; a machine here is given other tables with --firmware.
 */
import { isPowerOf2 } from '@holdfast/lib';
import { nodeAt } from '../../facts/sysfs.js';
import { type OptionSpec, exitWithUsage, parseOptions } from '../ndctl/parse-options.js';
import type { DaxctlContext } from './context.js';

const USAGE = 'daxctl split-acpi <options>';
const OPTIONS: readonly OptionSpec[] = [
  { short: 'd', long: 'directory', value: 'path', help: 'Path to ACPI tables dumped by "acpixtract -a"' },
  { short: 'p', long: 'pxm', value: 'n', numeric: true, help: 'Proximity domain to split' },
  { short: 'n', long: 'nodes', value: 'n', numeric: true, help: 'Number of nodes to split capacity (default 2)' },
  { short: 'v', long: 'verbose', help: 'Enable verbose output' },
];

export function splitAcpi(ctx: DaxctlContext, args: readonly string[]): number {
  const { value, operands } = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  const error = (text: string): void => ctx.line(`  Error: ${text}\n`);
  const nodes = Number(value('nodes') ?? 2);
  const wrong = [
    ...operands.map((operand) => `unknown parameter "${operand}"`),
    ...(nodes < 2 ? [`--nodes=${nodes}, must be greater than 2`] : []),
    ...(nodes > 0 && isPowerOf2(nodes) ? [] : [`--nodes=${nodes}, must be power of 2`]),
  ];
  wrong.forEach(error);
  if (wrong.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  const table = `${value('directory') ?? '.'}/nfit.dat`;
  if (!nodeAt(ctx.root, ctx.resolve(table))) {
    error(`failed to open required ${table}`);
    return 1;
  }
  ctx.line('daxctl: split-acpi writes tables for a real machine to load at its next boot; give this one other tables with --firmware');
  return 1;
}
