/**
 * The control socket: where whoever may reach it throws the power switch. A Unix socket that only its owner can open.
 *
 * Invariant: each line has one answer, in order; whatever else a client sends, it is told what was wrong, or loses its connection, and nobody
 * else notices.
 */
import { chmodSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { KernelError } from '@holdfast/lib';
import { listenAt } from '../listen.js';
import { CONTROL_VERSION, ControlError, type ControlMethod, type ControlParams, type ControlResult, MAX_LINE_BYTES } from './control-protocol.js';
import { type ControlRequest, parseRequest, requestId } from './control-params.js';
import { createLineReader } from './line-reader.js';

/** Clients at a time. */
const MAX_CLIENTS = 16;
/** A client that does not read its answers is let go when so much waits for it. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

export type ControlHandlers = { readonly [M in ControlMethod]: (params: ControlParams<M>) => ControlResult<M> };

export interface ControlServer {
  /** A socket file that a killed server left is taken over. @throws the host's error */
  listen(path: string): Promise<void>;
  close(): Promise<void>;
}

export function createControlServer(handlers: ControlHandlers): ControlServer {
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    if (clients.size >= MAX_CLIENTS) {
      socket.destroy();
      return;
    }
    clients.add(socket);
    const say = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`);
    const read = createLineReader(MAX_LINE_BYTES, (line) => say(answerLine(handlers, line)));
    socket.on('data', (data) => {
      const fits = read(data);
      if (!fits) say({ id: null, error: { code: 'E2BIG', message: `a line has at most ${MAX_LINE_BYTES} bytes` } });
      if (!fits) socket.end();
      if (!fits || socket.writableLength > MAX_WAITING_BYTES) socket.destroySoon();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => clients.delete(socket));
    say({ 'holdfast-nbd': CONTROL_VERSION });
  });
  return {
    async listen(path) {
      await listenAt(server, { socket: path });
      chmodSync(path, 0o600);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of clients) socket.destroy();
      }),
  };
}

/** The answer to one line, whatever it is. */
export function answerLine(handlers: ControlHandlers, line: string): object {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return refusal(null, new ControlError('EINVAL', 'expected a line of JSON'));
  }
  try {
    const request = parseRequest(value);
    return { id: request.id, result: run(handlers, request) };
  } catch (error) {
    if (error instanceof ControlError || error instanceof KernelError) return refusal(requestId(value), error);
    throw error;
  }
}

function run<M extends ControlMethod>(handlers: ControlHandlers, { method, params }: ControlRequest<M>): ControlResult<M> {
  return handlers[method](params);
}

function refusal(id: number | string | null, { code, message }: { readonly code: string; readonly message: string }): object {
  return { id, error: { code, message } };
}
