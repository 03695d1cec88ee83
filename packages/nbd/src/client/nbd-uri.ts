/**
 * NBD URIs, as `holdfast nbd` and other servers print them: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md.
 */
import { KernelError } from '@holdfast/lib';
import type { NbdAddress } from '../listen.js';

/** Where an export is. The name of the default export is empty. */
export type NbdTarget = NbdAddress & { readonly name?: string };

const DEFAULT_PORT = 10809;

/** @throws KernelError EINVAL for what is no NBD URI, or one of a kind that is not spoken here: TLS, vsock, ssh */
export function parseNbdUri(uri: string): NbdTarget {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url?.protocol === 'nbd+unix:') {
    const socket = url.searchParams.get('socket');
    if (!socket) throw new KernelError('EINVAL', `'${uri}' names no socket: expected nbd+unix:///EXPORT?socket=PATH`);
    return { socket, name: nameOf(url, uri) };
  }
  if (url?.protocol !== 'nbd:' || url.hostname === '') {
    throw new KernelError('EINVAL', `'${uri}': expected nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH`);
  }
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port === '' ? DEFAULT_PORT : Number(url.port), name: nameOf(url, uri) };
}

function nameOf({ pathname }: URL, uri: string): string {
  try {
    return decodeURIComponent(pathname.slice(1));
  } catch (cause) {
    throw new KernelError('EINVAL', `'${uri}': a % must be followed by two hexadecimal digits`, { cause });
  }
}
