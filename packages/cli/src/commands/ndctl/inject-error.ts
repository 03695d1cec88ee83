/** `ndctl inject-error`: media errors on demand, where a bus can make them. Mirrors ndctl's ndctl/inject-error.c. */
import { type NdctlContext, error, exitStatus } from './context.js';
import { regionsFor } from './namespace-walk.js';
import { BASE_OPTIONS } from './namespace-options.js';
import { type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { parseSize64 } from './size.js';
import { namespaces } from './topology.js';

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
  const found = regionsFor(ctx, { bus: options.value('bus'), region: options.value('region') }).some(({ region }) => namespaces(ctx, region).some((ns) => ns.name === name));
  if (!found) {
    error(ctx, `${name}: no such namespace\n`);
    return exitStatus('ENXIO');
  }
  ctx.line(`${name}: error injection not supported`);
  ctx.explain({ rule: 'only a bus whose firmware takes the NFIT commands for error injection can do this, and none here does' });
  return exitStatus('EOPNOTSUPP');
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
