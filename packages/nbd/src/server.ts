/**
 * The server: it listens on a Unix socket or a loopback port, and serves its exports to whoever comes.
 */
import { type Server, type Socket, createServer } from 'node:net';
import type { TLSSocketOptions } from 'node:tls';
import { type Connection, serveConnection } from './connection.js';
import type { NbdExport } from './export.js';
import type { TlsPolicy } from './handshake.js';
import type { NbdCounters } from './transmission.js';

/** Clients at a time; the next one is turned away. */
const MAX_CONNECTIONS = 128;

export interface NbdServerOptions {
  /** Asked for each listing and each client anew. */
  readonly exports: () => readonly NbdExport[];
  readonly tls?: { readonly policy: Exclude<TlsPolicy, 'off'>; readonly options: TLSSocketOptions };
  readonly maxConnections?: number;
}

export interface NbdServer {
  readonly counters: NbdCounters;
  readonly connections: ReadonlySet<Connection>;
  /** @throws the host's error if the address cannot be had */
  listen(address: NbdAddress): Promise<void>;
  /** Take no more clients, let go of those there are. */
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
    listen: (address) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        const listening = (): void => {
          server.off('error', reject);
          resolve();
        };
        if ('socket' in address) server.listen(address.socket, listening);
        else server.listen(address.port, address.host ?? '127.0.0.1', listening);
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.drop();
      }),
  };
}
