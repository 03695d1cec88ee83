/** `ndctl inject-error`: media errors on demand, where a bus can make them. Mirrors ndctl's ndctl/inject-error.c. */
import { createRangeSet, errnoNumber, strerror } from '@holdfast/lib';
import { INJECT_NOTIFY } from '@holdfast/machine';
import type { NdBusControl } from '@holdfast/nvdimm';
import { busControlOf, failureOf, hasErrorInjection, submit } from './bus-access.js';
import { type Failure, type NdctlContext, error, exitStatus, libraryError } from './context.js';
import { type Json, jsonText } from './json-text.js';
import { namespaceJson } from './namespace-json.js';
import { BASE_OPTIONS } from './namespace-options.js';
import { regionsFor } from './namespace-walk.js';
import { type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { pollScrub, scrubState } from './scrub-state.js';
import { humanHex, parseSize64 } from './size.js';
import { readNumber } from './sysfs-access.js';
import { type Namespace, type NdBus, holderOf, namespaces } from './topology.js';

const USAGE = 'ndctl inject-error <namespace> [<options>]';
const OPTIONS = [
  ...BASE_OPTIONS,
  { short: 'B', long: 'block', value: 'namespace block offset (512B)', help: 'specify the block at which to (un)inject the error' },
  { short: 'n', long: 'count', value: 'count', help: 'specify the number of blocks of errors to (un)inject' },
  { short: 'd', long: 'uninject', help: 'un-inject a previously injected error' },
  { short: 't', long: 'status', help: 'get error injection status' },
  { short: 'N', long: 'no-notify', help: 'firmware should not notify OS' },
  { short: 'S', long: 'saturate', help: "inject full sector, not just 'ars_unit' bytes" },
  { short: 'u', long: 'human', help: 'use human friendly number formats ' },
];

export function injectError(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  const problem = wrongRequest(options);
  if (problem !== undefined) {
    error(ctx, `${problem}\n`);
    return exitStatus('EINVAL');
  }
  const [name, ...rest] = options.operands;
  if (name === undefined) error(ctx, 'specify a namespace to inject error to\n');
  for (const operand of rest) error(ctx, `unknown extra parameter "${operand}"\n`);
  if (name === undefined || rest.length > 0) return exitWithUsage(ctx, USAGE, OPTIONS);
  ctx.verbose = options.has('verbose');
  const ns = regionsFor(ctx, { bus: options.value('bus'), region: options.value('region') })
    .flatMap(({ region }) => namespaces(ctx, region))
    .find((each) => each.name === name);
  if (!ns) {
    error(ctx, `${name}: no such namespace\n`);
    return exitStatus('ENXIO');
  }
  const failure = hasErrorInjection(ctx, ns.region.bus) ? carryOut(ctx, ns, options) : notSupported(ctx, ns);
  return failure ? exitStatus(failure) : 0;
}

function notSupported(ctx: NdctlContext, { name }: Namespace): Failure {
  ctx.line(`${name}: error injection not supported`);
  ctx.explain({ rule: 'only a bus whose firmware takes the NFIT commands for error injection can do this, and this one does not' });
  return 'EOPNOTSUPP';
}

function carryOut(ctx: NdctlContext, ns: Namespace, options: ParsedOptions): Failure {
  const human = options.has('human');
  if (options.has('status')) return showStatus(ctx, ns, human);
  const first = parseSize64(options.value('block')!)!.bytes;
  const count = parseSize64(options.value('count')!)!.bytes;
  const request: Injection = { first, count, saturate: options.has('saturate'), notify: !options.has('no-notify') };
  return options.has('uninject') ? uninject(ctx, ns, request, human) : inject(ctx, ns, request, human);
}

/** Blocks of 512 bytes of the namespace's data. */
interface Injection {
  readonly first: number;
  readonly count: number;
  /** Whole blocks, instead of what is cleared at a time. */
  readonly saturate: boolean;
  readonly notify: boolean;
}

const BLOCK = 512;
const SCRUB_TIMEOUT = 30;

function inject(ctx: NdctlContext, ns: Namespace, request: Injection, human: boolean): Failure {
  const { bus } = ns.region;
  const before = scrubState(ctx, bus);
  if (!before) {
    ctx.line('Unable to get scrub count');
    return 'ENXIO';
  }
  const refused = eachBlock(ctx, ns, request, 'Injection', (control, range) =>
    control.arsErrorInject({ ...range, options: request.notify ? INJECT_NOTIFY : 0 }),
  );
  if (refused) return failed(ctx, 'inject error', refused);
  if (request.notify) {
    const lost = waitForNews(ctx, bus, before.count);
    if (lost) return lost;
  }
  showNamespace(ctx, ns, human);
  return undefined;
}

/** The kernel was told of the errors, and looks for them: wait for that scrub to be over. */
function waitForNews(ctx: NdctlContext, bus: NdBus, before: number): Failure {
  for (let left = SCRUB_TIMEOUT; left > 0; left--) {
    const state = scrubState(ctx, bus);
    if (!state) return 'ENXIO';
    ctx.sleep(1);
    if (state.count > before) break;
  }
  const failure = pollScrub(ctx, bus);
  if (failure) ctx.line('Error waiting for scrub');
  return failure;
}

const UNINJECT_WARNING =
  "Warning: Un-injecting previously injected errors here will\nnot cause the kernel to 'forget' its badblock entries. Those\n" +
  'have to be cleared through the normal process of writing\nthe affected blocks\n\n';

function uninject(ctx: NdctlContext, ns: Namespace, request: Injection, human: boolean): Failure {
  const refused = eachBlock(ctx, ns, request, 'Un-injection', (control, range) => control.arsErrorInjectClear(range));
  if (refused) return failed(ctx, 'uninject error', refused);
  ctx.out(UNINJECT_WARNING);
  showNamespace(ctx, ns, human);
  return undefined;
}

/** One command for each block, as the size of an error may be less than a block. No blocks are an error of their own. */
function eachBlock(
  ctx: NdctlContext, ns: Namespace, { first, count, saturate }: Injection, doing: string,
  command: (control: NdBusControl, range: { address: number; length: number }) => { readonly status: number },
): Failure {
  if (count === 0) return 'EINVAL';
  for (let block = first; block < first + count; block++) {
    const failure = oneBlock(block);
    if (!failure) continue;
    libraryError(ctx, `ndctl_namespace_${doing === 'Injection' ? 'inject' : 'uninject'}_error2`, `${doing} failed at block ${block.toString(16)}`);
    return failure;
  }
  return undefined;

  function oneBlock(block: number): Failure {
    const area = dataArea(ctx, ns);
    if (typeof area === 'string') return area;
    if ((block + 1) * BLOCK > area.size) {
      ctx.explain({
        rule: `the data of ${ns.name} has ${area.size / BLOCK} blocks of ${BLOCK} bytes`,
        nearest: [
          ctx.again({
            block: String(Math.min(first, area.size / BLOCK - 1)),
            count: String(Math.max(1, Math.min(count, area.size / BLOCK - first))),
          }),
        ],
      });
      return 'EINVAL';
    }
    const control = busControlOf(ctx, ns.region.bus);
    if (!control) return 'ENOTTY';
    const cap = submit(() => control.arsCap({ address: area.start, length: area.size }));
    if (typeof cap === 'string') return cap;
    if (cap.clearErrUnit === 0) return 'EINVAL';
    const length = saturate ? BLOCK : Math.min(BLOCK, cap.clearErrUnit);
    const answer = submit(() => command(control, { address: area.start + block * BLOCK, length }));
    return typeof answer === 'string' ? answer : failureOf(answer.status);
  }
}

/** Where the data of a namespace lies; behind a BTT there is no telling. */
function dataArea(ctx: NdctlContext, ns: Namespace): { start: number; size: number } | Exclude<Failure, undefined> {
  const holder = holderOf(ctx, ns);
  if (holder?.kind === 'btt') {
    ctx.explain({
      rule: 'a block of a BTT may lie anywhere in it: errors can be injected only below',
      nearest: [`ndctl create-namespace -f -e ${ns.name} -m raw && ${ctx.again()}`],
    });
    return 'EOPNOTSUPP';
  }
  const [start, size] = [readNumber(ctx, (holder ?? ns).path, 'resource'), readNumber(ctx, (holder ?? ns).path, 'size')];
  return start === undefined || size === undefined ? 'ENXIO' : { start, size };
}

function showNamespace(ctx: NdctlContext, ns: Namespace, human: boolean): void {
  const json = namespaceJson(ctx, ns, { mediaErrors: true, human });
  if (json) ctx.out(`${jsonText(json)}\n`);
}

/** The errors that were injected and not cleared since, as blocks of the namespace. */
function showStatus(ctx: NdctlContext, ns: Namespace, human: boolean): Failure {
  const area = dataArea(ctx, ns);
  if (typeof area === 'string') return failed(ctx, 'get injection status', area);
  const control = busControlOf(ctx, ns.region.bus);
  const answer = control ? submit(() => control.arsErrorInjectStatus()) : 'ENOTTY';
  if (typeof answer === 'string') return failed(ctx, 'get injection status', answer);
  const blocks = createRangeSet();
  for (const { address, length } of answer.records) {
    if (address < area.start || address >= area.start + area.size) continue;
    blocks.add(Math.floor((address - area.start) / BLOCK), Math.ceil((address - area.start + length) / BLOCK));
  }
  const hex = (value: number): Json => (human ? humanHex(value) : value);
  const badblocks = blocks.within(0, Number.MAX_SAFE_INTEGER).map(({ start, end }) => ({ block: hex(start), count: hex(end - start) }));
  if (badblocks.length > 0) ctx.out(`${jsonText({ badblocks })}\n`);
  return undefined;
}

function failed(ctx: NdctlContext, what: string, failure: Exclude<Failure, undefined>): Failure {
  ctx.line(`Unable to ${what}: ${strerror(failure)} (${-errnoNumber(failure)})`);
  return failure;
}

function wrongRequest({ has, value }: ParsedOptions): string | undefined {
  const where = value('block') !== undefined || value('count') !== undefined;
  if (has('status')) return has('uninject') || where || has('saturate') ? 'status is invalid with inject or uninject' : undefined;
  for (const name of ['block', 'count']) {
    const word = value(name);
    if (word !== undefined && !parseSize64(word)) return `Invalid ${name}: ${word}`;
  }
  return value('block') === undefined || value('count') === undefined ? 'block and count required for inject/uninject' : undefined;
}
