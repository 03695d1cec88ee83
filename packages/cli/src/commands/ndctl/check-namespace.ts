/**
 * `ndctl check-namespace`: is the metadata of a sector namespace whole, and can it be made so? Mirrors ndctl's ndctl/check.c: namespace_check.
 *
 * The namespace is taken out of use, looked at as a raw disk, and given back. Without --repair nothing is written.
 */
import type { BlockFile } from '@holdfast/kernel';
import type { Failure, NdctlContext } from './context.js';
import { type BttCheck, checkBtt } from './btt-check.js';
import { parseNamespaceOptions } from './namespace-options.js';
import { disableNamespaceSafely, enableNamespace } from './namespace-state.js';
import { type Outcome, forEachNamespace } from './namespace-walk.js';
import { type Namespace, holderOf, isActive, sizeOf, uuidOf } from './topology.js';
import { withRawDisk } from './zero-info-block.js';

const OPTIONS = [
  { short: 'R', long: 'repair', help: 'perform metadata repairs' },
  { short: 'L', long: 'rewrite-log', help: 'regenerate the log' },
  { short: 'f', long: 'force', help: 'check namespace even if currently active' },
];

export function checkNamespace(ctx: NdctlContext, args: readonly string[]): number {
  const request = parseNamespaceOptions(ctx, args, 'check', 'ndctl check-namespace <namespace> [<options>]', OPTIONS);
  ctx.commandName = 'check namespace';
  const { has } = request.options;
  return forEachNamespace(ctx, request, { doing: 'checking', done: 'checked' }, (ns) =>
    check(ctx, ns, { repair: has('repair'), rewriteLog: has('rewrite-log'), force: has('force') }),
  );
}

interface CheckOptions {
  readonly repair: boolean;
  readonly rewriteLog: boolean;
  readonly force: boolean;
}

function check(ctx: NdctlContext, ns: Namespace, { repair, rewriteLog, force }: CheckOptions): Outcome {
  const say = (from: string, text: string): void => ctx.line(`${ns.name}: ${from}: ${text}`);
  const info = (from: string, text: string): void => {
    if (ctx.verbose) say(from, text);
  };
  if (rewriteLog && !repair) {
    say('namespace_check', '--rewrite-log also requires --repair');
    return 'EINVAL';
  }
  if (rewriteLog) info('namespace_check', 'WARNING: interruption may cause unrecoverable metadata corruption');
  info('namespace_check', `checking ${ns.name}`);
  const wasActive = isActive(ctx, ns);
  if (wasActive && !force) {
    say('namespace_check', `${ns.name}: check aborted, namespace online`);
    const isSector = holderOf(ctx, ns)?.kind === 'btt';
    ctx.explain({
      rule: `${ns.name} is in use, and its metadata may change under a check${isSector ? '' : '; it is no sector namespace either, and has none'}`,
      ...(isSector ? { nearest: [ctx.again({ force: true })] } : {}),
    });
    return 'EBUSY';
  }
  const busy = wasActive ? disableNamespaceSafely(ctx, ns) : undefined;
  if (busy) return busy;
  const run = (disk: BlockFile): Failure => {
    const job: BttCheck = { disk, rawSize: sizeOf(ctx, ns), parentUuid: uuidOf(ctx, ns), repair, rewriteLog, err: say, info };
    return checkBtt(job);
  };
  const failure = withRawDisk<Failure>(ctx, ns, run, () => {
    say('namespace_check', `${ns.name}: failed to enable in raw mode: No such device or address (-6)`);
    return 'ENXIO';
  });
  if (wasActive && enableNamespace(ctx, ns)) say('namespace_check', `${ns.name}: failed to re-enable namespace`);
  return failure ?? 'done';
}
