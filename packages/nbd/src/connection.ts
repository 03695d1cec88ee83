/**
 * One client: a socket, its handshake, then its requests.
 *
 * Invariant: whatever the client does, `onClose` is called once, and nothing of the connection is left then.
 */
import type { Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import { KernelError } from '@holdfast/lib';
import { sendAtOnce, sendByStream } from './send-at-once.js';
import { copyIn, readEvents, takeOver } from './take-over.js';
import { type HandshakeNeeds, type Session, createHandshake } from './handshake.js';
import type { NbdCounters } from './serving.js';
import { type Transmission, createTransmission } from './transmission.js';
import type { NbdDisk } from './disk.js';

const HANDSHAKE_READ_BYTES = 16 * 1024;
/** A client that has not agreed on anything by then goes. Host milliseconds. */
const HANDSHAKE_MS = 10_000;

export interface ConnectionNeeds extends HandshakeNeeds {
  readonly counters: NbdCounters;
  readonly tlsOptions?: TLSSocketOptions;
  readonly onClose: (connection: Connection) => void;
}

export interface Connection {
  /** What it uses; undefined during the handshake. */
  readonly session: Session | undefined;
  /** End it now, in the middle of whatever it does. */
  drop(): void;
  /** End it when what was answered is sent. */
  finish(): void;
  /** See {@link Transmission.rebind}. */
  rebind(disk: NbdDisk | undefined): void;
}

export function serveConnection(accepted: Socket, needs: ConnectionNeeds): Connection {
  const handshake = createHandshake(needs);
  const scratch = new Uint8Array(HANDSHAKE_READ_BYTES);
  let session: Session | undefined;
  let transmission: Transmission | undefined;
  let ending = false;
  let ended = false;
  let release: (() => void) | undefined;

  const space = (): Uint8Array => (transmission ? transmission.space() : scratch);
  const received = (length: number, bytes: Uint8Array): boolean => {
    if (transmission) return transmission.received(length, bytes);
    return onHandshake(bytes.subarray(0, length));
  };
  const plain = takeOver(accepted, { space, received }) ?? readEvents(accepted, { space, received });
  let socket: Socket = plain;

  const rebind = (disk: NbdDisk | undefined): void => {
    try {
      transmission?.rebind(disk);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      socket.destroy(); // the machine that came up has no memory for this client
    }
  };

  const connection: Connection = {
    get session() {
      return session;
    },
    drop: () => socket.destroy(),
    finish: () => (transmission ? transmission.finish() : end()),
    rebind,
  };

  /** Once what was said is sent. Not Socket.end: nobody may read any more, and then nothing would tell that the client is gone. */
  const end = (): void => {
    if (!ending) socket.destroySoon();
    ending = true;
  };

  const onHandshake = (data: Uint8Array): boolean => {
    const { replies, next } = handshake.feed(data);
    if (replies.length > 0) socket.write(Buffer.concat(replies));
    if (next === 'close') end();
    else if (next === 'tls') startTls();
    else if (next === 'transmission') return startTransmission();
    return !ending;
  };

  const startTls = (): void => {
    const secured = new TLSSocket(plain, { ...needs.tlsOptions, isServer: true });
    handshake.secured();
    secured.on('error', () => plain.destroy());
    socket = readEvents(secured, { space, received });
  };

  const startTransmission = (): boolean => {
    const agreed = handshake.session();
    session = agreed.session;
    release = session.exported.use?.();
    clearTimeout(deadline);
    try {
      transmission = createTransmission({
        session,
        counters: needs.counters,
        send: socket === plain ? sendAtOnce(plain) : sendByStream(socket),
        close: end,
        resume: () => socket.resume(),
      });
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      socket.destroy(); // the machine has no memory left for one more client
      return false;
    }
    return copyIn({ space, received }, agreed.rest) === undefined;
  };

  const deadline = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
  plain.on('error', () => plain.destroy());
  plain.on('close', () => {
    if (ended) return;
    ended = true;
    clearTimeout(deadline);
    transmission?.free();
    release?.();
    needs.onClose(connection);
  });
  plain.write(handshake.greeting());
  return connection;
}
