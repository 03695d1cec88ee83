/**
 * The client of packages/nbd, with a count of each request's end.
 */
import { NbdProtocolError, NbdReplyError, connectNbd } from '../../packages/nbd/dist/index.js';

const COUNTED = ['read', 'write', 'flush', 'trim', 'writeZeroes'];

/** @param counts `sent` and `answered` are added to, and `cutOff` of what no answer came for; `wrong` takes what a server must not say */
export async function openClient(path, name, counts) {
  const client = await connectNbd({ socket: path, name }, { headers: 'simple' });
  /** When each request on its way was sent, host milliseconds. */
  const waiting = new Map();
  let last = 0;

  const counted = (request) => async (...args) => {
    const key = last++;
    waiting.set(key, Date.now());
    counts.sent++;
    try {
      const answer = await request(...args);
      counts.answered++;
      return answer;
    } catch (error) {
      if (error instanceof NbdReplyError) counts.answered++;
      else {
        counts.cutOff++;
        if (error.cause instanceof NbdProtocolError) counts.wrong.push(`${name}: ${error.cause.message}`);
      }
      throw error;
    } finally {
      waiting.delete(key);
    }
  };

  return {
    ...client,
    ...Object.fromEntries(COUNTED.map((method) => [method, counted(client[method])])),
    /** How long the oldest request has been waiting, ms. */
    oldestMs: () => Math.max(0, ...[...waiting.values()].map((since) => Date.now() - since)),
  };
}
