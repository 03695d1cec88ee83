/**
 * TLS of a server, from the files that the NBD world keeps: a folder of certificates with QEMU's and nbdkit's names, and a list of keys that
 * both sides know, as GnuTLS' psktool writes it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocketOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { KernelError } from '@holdfast/lib';

/** Clients know these; Node offers no such suite by itself, and none with TLS 1.3. */
const PSK_CIPHERS = 'ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:DHE-PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256';
/** Nobody signs with a secret of less. */
const MIN_KEY_BYTES = 16;

export interface TlsFiles {
  /** Folder with `server-cert.pem` and `server-key.pem`; clients must show a certificate if `verifyPeer` is set, by `ca-cert.pem`. */
  readonly certificates?: string;
  readonly verifyPeer?: boolean;
  /** File of lines `identity:key`, the key in hexadecimal digits. */
  readonly psk?: string;
}

/** @throws KernelError ENOENT for a missing file, EINVAL for what cannot be read as one, or if neither or both kinds are given */
export function tlsOptions({ certificates, verifyPeer = false, psk }: TlsFiles): TLSSocketOptions {
  if ((certificates === undefined) === (psk === undefined)) throw new KernelError('EINVAL', 'TLS: expected a folder of certificates, or a file of keys');
  return psk === undefined ? certificateOptions(certificates!, verifyPeer) : pskOptions(psk);
}

function certificateOptions(folder: string, verifyPeer: boolean): TLSSocketOptions {
  const file = (name: string): Buffer => readTlsFile(join(folder, name));
  const identity = { cert: file('server-cert.pem'), key: file('server-key.pem'), ...(verifyPeer ? { ca: file('ca-cert.pem') } : {}) };
  try {
    const secureContext = createSecureContext({ ...identity, minVersion: 'TLSv1.2' });
    return { secureContext, requestCert: verifyPeer, rejectUnauthorized: verifyPeer };
  } catch (cause) {
    throw new KernelError('EINVAL', `TLS: ${folder}: certificate and key cannot be used: ${(cause as Error).message}`, { cause });
  }
}

function pskOptions(path: string): TLSSocketOptions {
  const keys = parsePskKeys(readTlsFile(path).toString(), path);
  return {
    secureContext: createSecureContext({ ciphers: PSK_CIPHERS, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }),
    pskCallback: (_socket: unknown, identity: string) => keys.get(identity) ?? null,
  } as TLSSocketOptions;
}

/** @throws KernelError EINVAL, naming the line but not what it says */
export function parsePskKeys(text: string, path: string): ReadonlyMap<string, Buffer> {
  const keys = new Map<string, Buffer>();
  text.split(/\r?\n/).forEach((line, i) => {
    if (line === '' || line.startsWith('#')) return;
    const [, identity, digits] = /^([^:]+):((?:[0-9a-f]{2})+)$/i.exec(line) ?? [];
    if (identity === undefined || digits!.length < 2 * MIN_KEY_BYTES) {
      throw new KernelError('EINVAL', `TLS: ${path}, line ${i + 1}: expected identity:key, the key at least ${2 * MIN_KEY_BYTES} hexadecimal digits`);
    }
    keys.set(identity, Buffer.from(digits!, 'hex'));
  });
  if (keys.size === 0) throw new KernelError('EINVAL', `TLS: ${path}: no keys in it`);
  return keys;
}

function readTlsFile(path: string): Buffer {
  if (!existsSync(path)) throw new KernelError('ENOENT', `TLS: ${path}: no such file`);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KernelError('EACCES', `TLS: ${path}: ${(cause as Error).message}`, { cause });
  }
}
