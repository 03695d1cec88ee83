/**
 * `ndctl read-infoblock`: what a namespace's first 8 KiB say, as bytes or as JSON; or a file's, or standard input's.
 * Mirrors ndctl's ndctl/namespace.c: cmd_read_infoblock, file_read_infoblock.
 */
import { strerror } from '@holdfast/lib';
import { INFO_BLOCK_RESERVE } from '@holdfast/nvdimm';
import { openFile, toBytes } from '../../console/open-file.js';
import { type Failure, type NdctlContext, error, exitStatus } from './context.js';
import { type InfoBlockSource, infoBlocksJson } from './infoblock-json.js';
import { transferFailure, withInfoBlock } from './infoblock-access.js';
import { type JsonObject, jsonList } from './json-text.js';
import { BASE_OPTIONS } from './namespace-options.js';
import { namespacesFor } from './namespace-walk.js';
import { type OptionSpec, exitWithUsage, parseOptions } from './parse-options.js';

const USAGE = 'ndctl read-infoblock <namespace> [<options>]';
const OPTIONS: readonly OptionSpec[] = [
  ...BASE_OPTIONS,
  { short: 'o', long: 'output', value: 'output-file', help: 'filename to write infoblock contents' },
  { short: 'i', long: 'input', value: 'input-file', help: 'filename to read infoblock instead of a namespace' },
  { short: 'V', long: 'verify', help: 'validate parent uuid, and infoblock checksum' },
  { short: 'j', long: 'json', help: 'parse label data into json' },
  { short: 'u', long: 'human', help: 'use human friendly number formats (implies --json)' },
];

export function readInfoblock(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  const [namespace, ...rest] = options.operands;
  const input = options.value('input');
  for (const operand of rest) error(ctx, `unknown extra parameter "${operand}"\n`);
  const both = input !== undefined && namespace !== undefined;
  if (both) error(ctx, 'specify a namespace, or --input, not both\n');
  if (both || rest.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  ctx.verbose = options.has('verbose');

  const human = options.has('human');
  const asJson = human || options.has('json');
  const found: JsonObject[] = [];
  const parts: Uint8Array[] = [];
  let processed = 0;
  const take = (head: Uint8Array, origin: JsonObject): void => {
    const source: InfoBlockSource = { origin, human, verify: options.has('verify') };
    if (asJson) found.push(...infoBlocksJson(head, source));
    else parts.push(head);
    processed++;
  };

  let failure: Failure;
  if (namespace === undefined) {
    const [head, refused] = readFileHead(ctx, input);
    failure = refused;
    if (!failure) take(head, { file: input ?? '<stdin>' });
  } else {
    failure = namespace === 'all' ? undefined : 'ENXIO';
    for (const ns of namespacesFor(ctx, { bus: options.value('bus'), region: options.value('region'), namespace, options })) {
      failure = withInfoBlock(ctx, 'read-infoblock', ns, (disk) => {
        const head = new Uint8Array(INFO_BLOCK_RESERVE);
        const cut = transferFailure(head.length, () => disk.pread(head, 0));
        if (!cut) take(head, { dev: ns.name });
        return cut;
      });
    }
  }
  if (asJson && processed > 0) {
    if (found.length === 0) ['  Warning: no matching devices found', ''].forEach((line) => ctx.line(line)); // util_display_json_array
    parts.push(toBytes(jsonList(found)));
  }
  deliver(ctx, options.value('output'), parts);
  if (failure) ctx.line(`error reading infoblock data: ${strerror(failure)}`);
  ctx.line(`read ${processed} infoblock${processed === 1 ? '' : 's'}`);
  return failure ? exitStatus(failure) : 0;
}

/** The first bytes of a file, or of standard input; less than it takes is an I/O error. */
function readFileHead(ctx: NdctlContext, path: string | undefined): [Uint8Array, Failure] {
  const head = new Uint8Array(INFO_BLOCK_RESERVE);
  const failure = transferFailure(head.length, () => {
    if (path === undefined) {
      const bytes = ctx.stdin().subarray(0, head.length);
      head.set(bytes);
      return bytes.length;
    }
    const file = openFile(ctx.root, ctx.resolve(path));
    try {
      return file.pread(head, 0);
    } finally {
      file.close();
    }
  });
  return [head, failure];
}

function deliver(ctx: NdctlContext, output: string | undefined, parts: readonly Uint8Array[]): void {
  if (output === undefined) {
    for (const part of parts) ctx.out(part);
    return;
  }
  const file = openFile(ctx.root, ctx.resolve(output), { write: true, truncate: true });
  let at = 0;
  for (const part of parts) at += file.pwrite(part, at);
  file.close();
}
