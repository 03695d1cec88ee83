/**
 * The server: it listens on a Unix socket or a loopback port, and serves its exports to whoever comes.
 */
import { type Server, type Socket, createServer } from 'node:net';
import type { TLSSocketOptions } from 'node:tls';
import { type Connection, serveConnection } from './connection.js';
import type { NbdExport } from './export.js';
import type { TlsPolicy } from './handshake.js';
import { type NbdAddress, listenAt } from './listen.js';
import type { NbdCounters } from './serving.js';

/** Clients at a time; the next one is turned away. */
const MAX_CONNECTIONS = 128;
/** Host milliseconds. */
const FINISH_MS = 2000;

export interface NbdServerOptions {
  /** Asked for each listing and each client anew. */
  readonly exports: () => readonly NbdExport[];
  /** Exports that no listing shows, by name. */
  readonly unlisted?: (name: string) => NbdExport | undefined;
  readonly tls?: { readonly policy: Exclude<TlsPolicy, 'off'>; readonly options: TLSSocketOptions };
  readonly maxConnections?: number;
  /** Host milliseconds that replies have to reach their client when the server closes. Default 2000. */
  readonly finishMs?: number;
}

export interface NbdServer {
  readonly counters: NbdCounters;
  readonly connections: ReadonlySet<Connection>;
  /** A socket file that a killed server left is taken over. @throws the host's error if the address cannot be had: EADDRINUSE, EACCES, … */
  listen(address: NbdAddress): Promise<void>;
  /** Take no more clients; those there are get the replies to what was carried out, unless they are slow. */
  close(): Promise<void>;
}

export function createNbdServer({
  exports,
  unlisted,
  tls,
  maxConnections = MAX_CONNECTIONS,
  finishMs = FINISH_MS,
}: NbdServerOptions): NbdServer & { readonly address: Server['address'] } {
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
      unlisted,
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
    listen: (address) => listenAt(server, address),
    close: () =>
      new Promise((resolve) => {
        const deadline = setTimeout(() => connections.forEach((connection) => connection.drop()), finishMs);
        server.close(() => {
          clearTimeout(deadline);
          resolve();
        });
        for (const connection of connections) connection.finish();
      }),
  };
}
