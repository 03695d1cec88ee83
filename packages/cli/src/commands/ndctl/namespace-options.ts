/**
 * Options of the commands on namespaces, with the checks that come before any device is looked at.
 * Mirrors ndctl's ndctl/namespace.c: parse_namespace_options, set_defaults.
 */
import { GIB, MIB, isPowerOf2 } from '@holdfast/lib';
import type { Explanation } from '../../console/explain.js';
import { type NdctlContext, error } from './context.js';
import { parseMode } from './filter.js';
import { type OptionSpec, type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { parseSize64 } from './size.js';
import type { Mode } from './topology.js';

export const BASE_OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'bus', value: 'bus-id', help: 'limit namespace to a bus with an id or provider of <bus-id>' },
  { short: 'r', long: 'region', value: 'region-id', help: 'limit namespace to a region with an id or name of <region-id>' },
  { short: 'v', long: 'verbose', help: 'emit extra debug messages to stderr' },
];

const CREATE_OPTIONS: readonly OptionSpec[] = [
  ...BASE_OPTIONS,
  { short: 'e', long: 'reconfig', value: 'reconfig namespace', help: 'reconfigure existing namespace' },
  { short: 'u', long: 'uuid', value: 'uuid', help: 'specify the uuid for the namespace (default: autogenerate)' },
  { short: 'n', long: 'name', value: 'name', help: 'specify an optional free form name for the namespace' },
  { short: 's', long: 'size', value: 'size', help: 'specify the namespace size in bytes (default: available capacity)' },
  { short: 'm', long: 'mode', value: 'operation-mode', help: "specify a mode for the namespace, 'sector', 'fsdax', 'devdax' or 'raw'" },
  { short: 'M', long: 'map', value: 'memmap-location', help: "specify 'mem' or 'dev' for the location of the memmap" },
  { short: 'l', long: 'sector-size', value: 'lba-size', help: 'specify the logical sector size in bytes' },
  { short: 't', long: 'type', value: 'type', help: "specify the type of namespace to create 'pmem' or 'blk'" },
  { short: 'a', long: 'align', value: 'align', help: 'specify the namespace alignment in bytes (default: 2M)' },
  { short: 'f', long: 'force', help: 'reconfigure namespace even if currently active' },
  { short: 'L', long: 'autolabel', help: 'automatically initialize labels' },
  { short: 'c', long: 'continue', help: 'continue creating namespaces as long as the filter criteria are met' },
  { short: 'R', long: 'autorecover', help: 'automatically cleanup on failure' },
];
const CREATE_USAGE = 'ndctl create-namespace [<options>]';

/** What create-namespace is asked for; what is undefined is chosen later. Sizes in bytes. */
export interface CreateRequest {
  readonly bus: string | undefined;
  readonly region: string | undefined;
  /** The namespace to make anew. */
  readonly reconfig: string | undefined;
  readonly uuid: string | undefined;
  readonly name: string | undefined;
  readonly size: { readonly bytes: number; readonly unit: number } | undefined;
  readonly mode: Mode | undefined;
  /** The mode is ndctl's choice, and not the user's. */
  readonly modeByDefault: boolean;
  readonly map: 'mem' | 'dev' | undefined;
  readonly sectorSize: number | undefined;
  readonly type: 'pmem' | 'blk' | undefined;
  /** Bytes, and the word that it was given as. */
  readonly align: { readonly bytes: number; readonly word: string } | undefined;
  readonly force: boolean;
  readonly autolabel: boolean;
  readonly greedy: boolean;
  readonly autorecover: boolean;
  /** There was not one argument: every kind of region is tried. */
  readonly scan: boolean;
}

/** @throws NdctlExit with 129 where a word is none that ndctl knows */
export function parseCreateOptions(ctx: NdctlContext, args: readonly string[]): CreateRequest {
  const options = parseOptions(args, CREATE_OPTIONS, CREATE_USAGE, ctx, ctx.out);
  const problems: string[] = [];
  const request = createRequest(options, args.length === 0, (text) => problems.push(text));
  for (const operand of options.operands) problems.push(`unknown extra parameter "${operand}"`);
  for (const text of problems) error(ctx, `${text}\n`);
  if (problems.length > 0) {
    ctx.explain({ rule: problems.join('; '), ...nearestWord(ctx, options) });
    exitWithUsage(ctx, CREATE_USAGE, CREATE_OPTIONS);
  }
  ctx.verbose = options.has('verbose');
  return request;
}

function nearestWord({ again }: NdctlContext, { value, has }: ParsedOptions): Pick<Explanation, 'nearest'> {
  const align = parseSize64(value('align') ?? '');
  if (align && align.bytes > 0 && !isPowerOf2(align.bytes)) return { nearest: [again({ align: String(nearestPages(align.bytes)) })] };
  const mode = value('mode');
  if (mode !== undefined && !parseMode(mode)) return { nearest: ['fsdax', 'devdax', 'sector', 'raw'].map((word) => again({ mode: word })) };
  if (has('map') && mode !== 'fsdax' && mode !== 'devdax') return { nearest: [again({ map: false })] };
  return {};
}

const PAGE = 4096;

/** The sizes of pages that x86-64 has. */
const PAGES = [PAGE, 2 * MIB, GIB];

function nearestPages(bytes: number): number {
  return PAGES.reduce((best, pages) => (Math.abs(Math.log(pages / bytes)) < Math.abs(Math.log(best / bytes)) ? pages : best));
}

function createRequest({ has, flag, value }: ParsedOptions, scan: boolean, refuse: (text: string) => void): CreateRequest {
  const reconfig = value('reconfig');
  const typeWord = value('type') ?? (reconfig === undefined ? 'pmem' : undefined);
  if (typeWord !== undefined && typeWord !== 'pmem' && typeWord !== 'blk') refuse(`invalid type '${typeWord}', must be either 'pmem' or 'blk'`);
  const modeWord = value('mode') ?? (reconfig === undefined ? (typeWord === 'pmem' ? 'fsdax' : 'sector') : undefined);
  const mode = modeWord === undefined ? undefined : parseMode(modeWord);
  if (modeWord !== undefined && !mode) refuse(`invalid mode '${modeWord}'`);
  const map = value('map') ?? (reconfig === undefined ? 'dev' : undefined);
  if (map !== undefined && map !== 'mem' && map !== 'dev') refuse(`invalid map location '${map}'`);
  if (has('map') && reconfig === undefined && modeWord !== 'fsdax' && modeWord !== 'devdax') refuse('--map only valid for an devdax mode pmem namespace');
  if (typeWord === 'blk' && (mode === 'fsdax' || mode === 'devdax')) refuse("only 'pmem' namespaces support dax operation");
  return {
    bus: value('bus'), region: value('region'), reconfig, name: value('name'), mode, modeByDefault: value('mode') === undefined,
    map: map as CreateRequest['map'],
    type: typeWord as CreateRequest['type'],
    size: sizeOption(value('size'), refuse),
    align: alignOption(value('align'), refuse),
    uuid: uuidOption(value('uuid'), refuse),
    sectorSize: sectorSizeOption(value('sector-size'), typeWord === 'blk' || mode === 'sector', refuse),
    force: has('force'),
    autolabel: flag('autolabel') ?? true,
    greedy: has('continue'),
    autorecover: flag('autorecover') ?? true,
    scan,
  };
}

function sizeOption(word: string | undefined, refuse: (text: string) => void): CreateRequest['size'] {
  if (word === undefined) return undefined;
  const size = parseSize64(word);
  if (!size) {
    refuse(`failed to parse namespace size '${word}'`);
    refuse(`failed to parse namespace size '${word}'`); // ndctl checks it twice
  }
  return size;
}

export function alignOption(word: string | undefined, refuse: (text: string) => void): CreateRequest['align'] {
  if (word === undefined) return undefined;
  const align = parseSize64(word);
  if (!align) refuse(`failed to parse namespace alignment '${word}'`);
  else if (!isPowerOf2(align.bytes) || align.bytes < PAGE) refuse(`align must be a power-of-2 greater than ${PAGE}`);
  return align && { bytes: align.bytes, word };
}

export function uuidOption(word: string | undefined, refuse: (text: string) => void): string | undefined {
  if (word === undefined) return undefined;
  if (!/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(word)) refuse(`failed to parse uuid: '${word}'`);
  return word.toLowerCase();
}

function sectorSizeOption(word: string | undefined, isSector: boolean, refuse: (text: string) => void): number | undefined {
  if (word === undefined) return isSector ? PAGE : undefined;
  const size = parseSize64(word);
  if (!size) refuse(`invalid sector size: ${word}`);
  return size?.bytes;
}

/** Which namespaces a command is for. */
export interface NamespaceRequest {
  readonly bus: string | undefined;
  readonly region: string | undefined;
  /** A name, or `all`. */
  readonly namespace: string;
  readonly options: ParsedOptions;
}

/** The options of a command on existing namespaces. @throws NdctlExit with 129 */
export function parseNamespaceOptions(
  ctx: NdctlContext,
  args: readonly string[],
  what: string,
  usage: string,
  more: readonly OptionSpec[] = [],
): NamespaceRequest {
  const specs = [...BASE_OPTIONS, ...more];
  const options = parseOptions(args, specs, usage, ctx, ctx.out);
  const [namespace, ...rest] = options.operands;
  if (namespace === undefined) error(ctx, `specify a namespace to ${what}, or "all"\n`);
  for (const operand of rest) error(ctx, `unknown extra parameter "${operand}"\n`);
  if (namespace === undefined || rest.length > 0) return exitWithUsage(ctx, usage, specs);
  ctx.verbose = options.has('verbose');
  return { bus: options.value('bus'), region: options.value('region'), namespace, options };
}
