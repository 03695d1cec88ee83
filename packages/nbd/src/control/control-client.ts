/**
 * The client's side of the control socket.
 */
import { type Socket, connect } from 'node:net';
import { CONTROL_VERSION, ControlError, type ControlMethod, type ControlParams, type ControlResult } from './control-protocol.js';
import { createLineReader } from './line-reader.js';

/** Answers are the server's: longer than requests, and not without end. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

export interface NbdControl {
  /** Have a method carried out. @throws ControlError with the server's code, or ENOTCONN where the connection has ended */
  call<M extends ControlMethod>(method: M, params: ControlParams<M>): Promise<ControlResult<M>>;
  close(): void;
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** Connect to the control socket of a server. @throws the host's error, or ControlError EPROTO for what is no such server */
export async function createNbdControl(path: string): Promise<NbdControl> {
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let ended = false;

  const settle = (message: Answer): void => {
    const request = typeof message.id === 'number' ? waiting.get(message.id) : undefined;
    if (!request) return;
    waiting.delete(message.id as number);
    if (message.error) request.reject(new ControlError(message.error.code, message.error.message));
    else request.resolve(message.result as never);
  };
  const end = (): void => {
    ended = true;
    for (const { reject } of waiting.values()) reject(new ControlError('ENOTCONN', 'the server has ended the connection'));
    waiting.clear();
  };

  const socket = await new Promise<Socket>((resolve, reject) => {
    let greeted = false;
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const socket = connect(path);
    const read = createLineReader(MAX_ANSWER_BYTES, (line) => {
      const message = parse(line);
      if (!message) fail(new ControlError('EPROTO', `${path}: what speaks there is no control socket of holdfast nbd`));
      else if (greeted) settle(message);
      else if (message['holdfast-nbd'] !== CONTROL_VERSION) {
        fail(new ControlError('EPROTO', `${path}: expected version ${CONTROL_VERSION} of the control protocol`));
      } else {
        greeted = true;
        resolve(socket);
      }
    });
    socket.on('data', (data) => {
      if (!read(data)) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      end();
      reject(
        new ControlError(
          'EPROTO',
          `${path}: the connection ended without a greeting; the control socket of holdfast nbd is SOCKET.ctl, unless --control named another`,
        ),
      );
    });
  });
  return {
    call: (method, params) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(new ControlError('ENOTCONN', 'the connection has ended'));
        const id = nextId++;
        waiting.set(id, { resolve, reject });
        socket.write(`${JSON.stringify({ id, method, params })}\n`);
      }),
    close: () => socket.destroy(),
  };
}

interface Answer {
  readonly 'holdfast-nbd'?: unknown;
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

function parse(line: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
