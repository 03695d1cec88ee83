/**
 * The server: it listens on a Unix socket or a loopback port, and serves its exports to whoever comes.
 */
import { lstatSync, rmSync } from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import type { TLSSocketOptions } from 'node:tls';
import { type Connection, serveConnection } from './connection.js';
import type { NbdExport } from './export.js';
import type { TlsPolicy } from './handshake.js';
import type { NbdCounters } from './transmission.js';

/** Clients at a time; the next one is turned away. */
const MAX_CONNECTIONS = 128;
/** What replies have to reach their client when the server closes. Host milliseconds. */
const FINISH_MS = 300;

export interface NbdServerOptions {
  /** Asked for each listing and each client anew. */
  readonly exports: () => readonly NbdExport[];
  readonly tls?: { readonly policy: Exclude<TlsPolicy, 'off'>; readonly options: TLSSocketOptions };
  readonly maxConnections?: number;
}

export interface NbdServer {
  readonly counters: NbdCounters;
  readonly connections: ReadonlySet<Connection>;
  /** A socket file that a killed server left is taken over. @throws the host's error if the address cannot be had: EADDRINUSE, EACCES, … */
  listen(address: NbdAddress): Promise<void>;
  /** Take no more clients; those there are get the replies to what was carried out, unless they are slow. */
  close(): Promise<void>;
}

/** `port` 0 asks for any free one. */
export type NbdAddress = { readonly socket: string } | { readonly port: number; readonly host?: string };

export function createNbdServer({ exports, tls, maxConnections = MAX_CONNECTIONS }: NbdServerOptions): NbdServer & { readonly address: Server['address'] } {
  const counters: NbdCounters = { reads: 0, writes: 0, others: 0, bytesRead: 0, bytesWritten: 0, errors: 0 };
  const connections = new Set<Connection>();

  const accept = (socket: Socket): void => {
    if (connections.size >= maxConnections) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection = serveConnection(socket, {
      exports,
      tls: tls?.policy ?? 'off',
      ...(tls ? { tlsOptions: tls.options } : {}),
      counters,
      onClose: (gone) => connections.delete(gone),
    });
    connections.add(connection);
  };
  const server = createServer({ pauseOnConnect: true }, accept);

  return {
    counters,
    connections,
    address: () => server.address(),
    async listen(address) {
      try {
        await listenOn(server, address);
      } catch (error) {
        if (!('socket' in address) || !isInUse(error) || !lstatSync(address.socket).isSocket() || (await answers(address.socket))) throw error;
        rmSync(address.socket);
        await listenOn(server, address);
      }
    },
    close: () =>
      new Promise((resolve) => {
        const deadline = setTimeout(() => connections.forEach((connection) => connection.drop()), FINISH_MS);
        server.close(() => {
          clearTimeout(deadline);
          resolve();
        });
        for (const connection of connections) connection.finish();
      }),
  };
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
