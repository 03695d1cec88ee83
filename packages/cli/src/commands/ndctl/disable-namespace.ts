/** `ndctl disable-namespace`, `ndctl enable-namespace`. Mirrors ndctl's ndctl/namespace.c: cmd_disable_namespace, cmd_enable_namespace. */
import type { NdctlContext } from './context.js';
import { parseNamespaceOptions } from './namespace-options.js';
import { disableNamespaceSafely, enableNamespace } from './namespace-state.js';
import { forEachNamespace } from './namespace-walk.js';

export function disableNamespaceCommand(ctx: NdctlContext, args: readonly string[]): number {
  const request = parseNamespaceOptions(ctx, args, 'disable', 'ndctl disable-namespace <namespace> [<options>]');
  ctx.commandName = 'disable namespace';
  return forEachNamespace(ctx, request, { doing: 'disabling', done: 'disabled' }, (ns) => disableNamespaceSafely(ctx, ns) ?? 'done');
}

export function enableNamespaceCommand(ctx: NdctlContext, args: readonly string[]): number {
  const request = parseNamespaceOptions(ctx, args, 'enable', 'ndctl enable-namespace <namespace> [<options>]');
  ctx.commandName = 'enable namespace';
  return forEachNamespace(ctx, request, { doing: 'enabling', done: 'enabled' }, (ns) => enableNamespace(ctx, ns) ?? 'done');
}
