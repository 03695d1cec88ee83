/** How a request can fail at a client. */
import { NBD } from '../protocol.js';

/** The server answered with an error of the protocol. */
export class NbdReplyError extends Error {
  /** Its number on the wire. */
  readonly nr: number;
  /** Its name, `EINVAL`, if the protocol has one. */
  readonly code: string | undefined;

  constructor(nr: number, text = '') {
    const code = Object.entries(NBD).find(([, value]) => value === nr)?.[0];
    super(`NBD error ${code ?? nr}${text === '' ? '' : `: ${text}`}`);
    this.name = 'NbdReplyError';
    this.nr = nr;
    this.code = code;
  }
}

/** The server does not give the export; the message is its own. */
export class NbdRefusedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NbdRefusedError';
  }
}

/** The connection is over, and nobody knows whether the request was carried out. `cause`: why, unless the server just went. */
export class NbdEndedError extends Error {
  constructor(cause?: Error) {
    super(`the connection has ended${cause ? `: ${cause.message}` : ''}`, { cause });
    this.name = 'NbdEndedError';
  }
}

/** The server said what the protocol does not allow. */
export class NbdProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NbdProtocolError';
  }
}
