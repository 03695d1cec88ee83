/**
 * Where the control socket of an NBD server is: beside its Unix socket, or, for a port, where the user's sockets are.
 */
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { CliError } from './cli-error.js';

/** By the address that a server listens on. */
export function controlPathFor(address: string | { readonly port: number }): string {
  if (typeof address === 'string') return `${address}.ctl`;
  const runtime = process.env['XDG_RUNTIME_DIR'];
  return runtime ? join(runtime, `holdfast-nbd-${address.port}.ctl`) : join(tmpdir(), `holdfast-nbd-${userInfo().username}-${address.port}.ctl`);
}

/** By what a user names: a control socket, or the URI of an export. @throws CliError */
export function controlPathOf(text: string): string {
  if (!/^nbds?(\+unix)?:/.test(text)) return text;
  const uri = URL.canParse(text) ? new URL(text) : undefined;
  const socket = uri?.searchParams.get('socket');
  if (uri?.protocol.includes('+unix') && socket) return controlPathFor(socket);
  if (uri && !uri.protocol.includes('+unix') && ['localhost', '127.0.0.1', '[::1]', ''].includes(uri.hostname)) {
    return controlPathFor({ port: Number(uri.port || 10809) });
  }
  throw new CliError(`'${text}': expected a control socket, nbd+unix:///EXPORT?socket=PATH, or nbd://localhost[:PORT]`);
}

/** The URI of another export of the server whose control socket, or one of whose URIs, `text` is. @throws CliError */
export function exportUri(text: string, name: string): string {
  const path = encodeURIComponent(name);
  if (/^nbds?(\+unix)?:/.test(text)) {
    const uri = new URL(text);
    uri.pathname = `/${path}`;
    return uri.href;
  }
  if (!text.endsWith('.ctl')) throw new CliError(`--uris: '${text}' does not tell where the exports are; give the URI of one`);
  return `nbd+unix:///${path}?socket=${encodeURI(text.slice(0, -'.ctl'.length))}`;
}
