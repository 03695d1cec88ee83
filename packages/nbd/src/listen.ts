/**
 * Having an address to listen on: a socket file that nobody answers on was left by a server that was killed, and is taken over.
 */
import { lstatSync, rmSync } from 'node:fs';
import { type Server, connect } from 'node:net';

/** `port` 0 asks for any free one. */
export type NbdAddress = { readonly socket: string } | { readonly port: number; readonly host?: string };

/** @throws the host's error if the address cannot be had: EADDRINUSE, EACCES, … */
export async function listenAt(server: Server, address: NbdAddress): Promise<void> {
  try {
    await listenOn(server, address);
  } catch (error) {
    if (!('socket' in address) || !isInUse(error) || !lstatSync(address.socket).isSocket() || (await answers(address.socket))) throw error;
    rmSync(address.socket);
    await listenOn(server, address);
  }
}

function listenOn(server: Server, address: NbdAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const listening = (): void => {
      server.off('error', reject);
      resolve();
    };
    server.once('error', reject);
    if ('socket' in address) server.listen(address.socket, listening);
    else server.listen(address.port, address.host ?? '127.0.0.1', listening);
  });
}

function isInUse(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

/** Does anybody listen on a socket file? */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
