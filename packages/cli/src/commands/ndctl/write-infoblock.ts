/**
 * `ndctl write-infoblock`: lays an info block over a namespace or a file, with numbers of the user's choice, for tests of what reads it.
 * Mirrors ndctl's ndctl/namespace.c: cmd_write_infoblock, file_write_infoblock, write_pfn_sb.
 */
import { KernelError, roundDown, roundUp, strerror } from '@holdfast/lib';
import { INFO_BLOCK_OFFSET, INFO_BLOCK_RESERVE, INFO_BLOCK_SIGNATURE, type InfoBlockKind, NULL_UUID, encodeInfoBlock } from '@holdfast/nvdimm';
import { openFile } from '../../console/open-file.js';
import { type Failure, type NdctlContext, error, exitStatus } from './context.js';
import { parseMode } from './filter.js';
import { transferFailure, withInfoBlock } from './infoblock-access.js';
import { BASE_OPTIONS, alignOption, uuidOption } from './namespace-options.js';
import { namespacesFor } from './namespace-walk.js';
import { type OptionSpec, type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { parseSize64 } from './size.js';
import { type Namespace, holderOf, modeOf, supportedAlignments, uuidOf } from './topology.js';

const USAGE = 'ndctl write-infoblock <namespace> [<options>]';
const OPTIONS: readonly OptionSpec[] = [
  ...BASE_OPTIONS,
  { short: 'o', long: 'output', value: 'output-file', help: 'filename to write infoblock contents' },
  { short: 'c', long: 'stdout', help: 'write the infoblock data to stdout' },
  { short: 'm', long: 'mode', value: 'operation-mode', help: "specify the infoblock mode, 'fsdax' or 'devdax' (default 'fsdax')" },
  { short: 's', long: 'size', value: 'size', help: 'override the image size to instantiate the infoblock' },
  { short: 'a', long: 'align', value: 'align', help: 'specify the expected physical alignment' },
  { short: 'u', long: 'uuid', value: 'uuid', help: 'specify the uuid for the infoblock (default: autogenerate)' },
  { short: 'M', long: 'map', value: 'memmap-location', help: "specify 'mem' or 'dev' for the location of the memmap" },
  { short: 'p', long: 'parent-uuid', value: 'parent-uuid', help: 'specify the parent namespace uuid for the infoblock (default: 0)' },
  { short: 'O', long: 'offset', value: 'offset', help: 'EXPERT/DEBUG only: enable namespace inner alignment padding' },
];

const PAGE = 4096;
const SUBSECTION = 2 ** 21;
const STRUCT_PAGE = 64;
const FILE_ALIGN = 2 ** 21;

/** What is to be written; what is undefined is chosen by where it goes. Sizes in bytes. */
interface Request {
  readonly kind: InfoBlockKind;
  readonly map: 'mem' | 'dev';
  readonly size: number | undefined;
  readonly align: { readonly bytes: number; readonly word: string } | undefined;
  readonly uuid: string | undefined;
  readonly parentUuid: string | undefined;
  /** The physical address that the block is to be right for. */
  readonly start: number;
}

export function writeInfoblock(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  const request = parseRequest(ctx, options);
  ctx.verbose = options.has('verbose');
  const [namespace] = options.operands;
  let failure: Failure;
  let processed = 0;
  if (namespace === undefined) {
    failure = writeToFile(ctx, request, options);
    if (!failure) processed = 1;
  } else {
    failure = namespace === 'all' ? undefined : 'ENXIO';
    for (const ns of namespacesFor(ctx, { bus: options.value('bus'), region: options.value('region'), namespace, options })) {
      failure = writeToNamespace(ctx, request, ns, options.value('size'));
      if (!failure) processed++;
    }
  }
  if (failure) ctx.line(`error checking infoblocks: ${strerror(failure)}`);
  ctx.line(`wrote ${processed} infoblock${processed === 1 ? '' : 's'}`);
  return failure ? exitStatus(failure) : 0;
}

function parseRequest(ctx: NdctlContext, { value, has, operands }: ParsedOptions): Request {
  const problems: string[] = [];
  const refuse = (text: string): void => void problems.push(text);
  const modeWord = value('mode') ?? 'fsdax';
  const mode = parseMode(modeWord);
  if (!mode) refuse(`invalid mode '${modeWord}'`);
  else if (mode !== 'fsdax' && mode !== 'devdax') refuse(`unsupported mode '${modeWord}'`);
  const map = value('map') ?? 'dev';
  if (map !== 'mem' && map !== 'dev') refuse(`invalid map location '${map}'`);
  if (value('map') !== undefined && modeWord !== 'fsdax' && modeWord !== 'devdax') refuse('--map only valid for an devdax mode pmem namespace');
  const sizeWord = value('size');
  const size = sizeWord === undefined ? undefined : parseSize64(sizeWord);
  const tellSize = (): void => {
    if (sizeWord !== undefined && !size) refuse(`failed to parse namespace size '${sizeWord}'`);
  };
  tellSize();
  const start = parseSize64(value('offset') ?? '0');
  if (!start) refuse(`failed to parse physical offset'${value('offset')}'`);
  const align = alignOption(value('align'), refuse);
  tellSize(); // ndctl checks it twice
  const uuid = uuidOption(value('uuid'), refuse);
  const parentUuid = uuidOption(value('parent-uuid'), refuse);
  const toFile = value('output') !== undefined || has('stdout');
  if (operands.length === 0 && !toFile) refuse('specify a namespace to write-infoblock, or "all"');
  for (const operand of operands.slice(1)) refuse(`unknown extra parameter "${operand}"`);
  if (operands.length > 0 && toFile) refuse('specify only one of a namespace filter, --output, or --stdout');
  if (has('stdout') && value('size') === undefined) refuse('--size required with --stdout');
  for (const text of problems) error(ctx, `${text}\n`);
  if (problems.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  return {
    kind: mode === 'devdax' ? 'dax' : 'pfn',
    map: map as Request['map'],
    size: size?.bytes || undefined,
    align,
    uuid,
    parentUuid,
    start: start?.bytes ?? 0,
  };
}

function writeToNamespace(ctx: NdctlContext, request: Request, ns: Namespace, sizeWord: string | undefined): Failure {
  return withInfoBlock(ctx, 'write-infoblock', ns, (disk) => {
    const align = request.align ?? defaultAlign(ctx, ns);
    if (request.size !== undefined && request.size % align.bytes !== 0) {
      error(ctx, `--size=${sizeWord} not aligned to ${align.word}\n`);
      return 'EINVAL';
    }
    const block = headWithBlock(ctx, { ...request, parentUuid: request.parentUuid ?? uuidOf(ctx, ns) }, request.size ?? disk.sizeBytes, align.bytes);
    return typeof block === 'string' ? block : transferFailure(block.length, () => disk.pwrite(block, 0));
  });
}

/** The second alignment that what holds the namespace knows, or a page where nothing does. */
function defaultAlign(ctx: NdctlContext, ns: Namespace): { bytes: number; word: string } {
  const holder = holderOf(ctx, ns);
  const mode = modeOf(ctx, ns);
  const kind = mode === 'fsdax' ? 'pfn' : 'dax';
  const bytes = (holder && holder.kind === kind && (mode === 'fsdax' || mode === 'devdax') ? supportedAlignments(ctx, holder)[1] : undefined) ?? PAGE;
  return { bytes, word: String(bytes) };
}

function writeToFile(ctx: NdctlContext, request: Request, { has, value }: ParsedOptions): Failure {
  const align = request.align?.bytes ?? FILE_ALIGN;
  if (has('stdout')) {
    const block = headWithBlock(ctx, request, request.size ?? 0, align);
    if (typeof block === 'string') return block;
    ctx.out(block);
    return undefined;
  }
  const path = value('output')!;
  try {
    const file = openFile(ctx.root, ctx.resolve(path), { write: true });
    try {
      const block = headWithBlock(ctx, request, request.size ?? sizeOfFile(ctx, path), align);
      return typeof block === 'string' ? block : transferFailure(block.length, () => file.pwrite(block, 0));
    } finally {
      file.close();
    }
  } catch (refused) {
    if (!(refused instanceof KernelError)) throw refused;
    error(ctx, `failed to open: ${path}\n`);
    return refused.code;
  }
}

/** What it holds now, to the last byte. */
function sizeOfFile(ctx: NdctlContext, path: string): number {
  const file = openFile(ctx.root, ctx.resolve(path));
  const piece = new Uint8Array(2 ** 16);
  let size = 0;
  for (let got = file.pread(piece, 0); got > 0; got = file.pread(piece, size)) size += got;
  file.close();
  return size;
}

/** The first 8 KiB of what has such a block: the kernel's own formula of v5.5, with the padding at the start that the kernel gave up. */
function headWithBlock(ctx: NdctlContext, { kind, map, uuid, parentUuid, start }: Request, size: number, pfnAlign: number): Uint8Array | 'ENXIO' {
  const align = Math.max(pfnAlign, SUBSECTION);
  const nrPages = Math.floor((size - INFO_BLOCK_RESERVE) / PAGE);
  const startPad = roundUp(start, align) - start;
  const endTrunc = start + size - roundDown(start + size, align);
  const dataOffset = roundUp(start + INFO_BLOCK_RESERVE + (map === 'dev' ? STRUCT_PAGE * nrPages : 0), align) - start;
  if (dataOffset >= size) {
    error(ctx, 'unable to satisfy requested alignment\n');
    return 'ENXIO';
  }
  const head = new Uint8Array(INFO_BLOCK_RESERVE);
  head.set(encodeInfoBlock({
    signature: INFO_BLOCK_SIGNATURE[kind],
    uuid: uuid ?? ctx.uuid(),
    parentUuid: parentUuid ?? NULL_UUID,
    flags: 0,
    versionMajor: 1,
    versionMinor: 4,
    dataOffset: BigInt(dataOffset),
    nrPfns: BigInt(Math.floor((size - dataOffset - endTrunc - startPad) / PAGE)),
    mode: map === 'dev' ? 2 : 1,
    startPad,
    endTrunc,
    align: pfnAlign,
    pageSize: PAGE,
    pageStructSize: STRUCT_PAGE,
  }), INFO_BLOCK_OFFSET);
  return head;
}
