/**
 * What the clients of a soak do: a worker writes and verifies its part of a disk and survives power cuts; a visitor comes and goes.
 */
import { NbdEndedError, NbdRefusedError, NbdReplyError, TRANSMISSION } from '../../packages/nbd/dist/index.js';
import { openClient } from './client.js';
import { BLOCK_BYTES, createRegion } from './region.js';

const DEPTH = 8;
const MAX_BLOCKS = 32;

/** @param power `isOn` now, and `on()` resolves when it is @param random from 0 to 1 */
export function createWorker({ path, name, first, nrBlocks, power, random, counts, isOver }) {
  const region = createRegion(first, nrBlocks);
  let client;

  const below = (n) => Math.floor(random() * n);

  const lane = async (connection) => {
    while (!isOver() && power.isOn) {
      const kind = random();
      if (kind < 0.04) {
        const flushed = region.beginFlush();
        await connection.flush();
        flushed();
        counts.flushes++;
        continue;
      }
      const count = 1 + below(random() < 0.8 ? 4 : MAX_BLOCKS);
      const block = below(nrBlocks - count + 1);
      if (!region.take(block, count)) {
        await new Promise(setImmediate);
        continue;
      }
      await operate(connection, kind, block, count);
      region.release(block, count);
    }
  };

  const operate = async (connection, kind, block, count) => {
    const at = region.offsetOf(block);
    if (kind < 0.5) {
      counts.reads++;
      if (!region.isNewest(await connection.read(at, count * BLOCK_BYTES), block, count)) {
        counts.wrong.push(`${name}: ${count} blocks at ${at} are not what was written last`);
      }
      return;
    }
    const fua = random() < 0.1;
    const zeros = kind > 0.9;
    const bytes = region.next(block, count, zeros);
    const trims = kind > 0.95 && (connection.flags & TRANSMISSION.SEND_TRIM) !== 0;
    if (trims) await connection.trim(at, bytes.length);
    else if (zeros) await connection.writeZeroes(at, bytes.length, { fua });
    else await connection.write(at, bytes, { fua });
    if (fua && !trims) region.settle(block, count);
    counts.writes++;
  };

  /** After a cut: what is there must be one of the contents that may be; then all is written anew. */
  const check = async () => {
    const offset = region.offsetOf(0);
    const found = await client.read(offset, nrBlocks * BLOCK_BYTES);
    if (!region.isAdmissible(found)) counts.wrong.push(`${name}: after a cut, the part at ${offset} holds what was never there, or lost what was durable`);
    await client.write(offset, region.next(0, nrBlocks, false), { fua: true });
    region.settle(0, nrBlocks);
    counts.checks++;
  };

  return {
    oldestMs: () => client?.oldestMs() ?? 0,
    abandon: () => client?.destroy(),
    async run() {
      while (!isOver()) {
        try {
          await power.on();
          client = await openClient(path, name, counts);
          for (;;) {
            await check();
            const lanes = await Promise.allSettled(Array.from({ length: DEPTH }, () => lane(client)));
            region.releaseAll();
            const failed = lanes.find(({ status }) => status === 'rejected')?.reason;
            if (failed) throw failed;
            if (isOver()) break;
            await power.on();
          }
        } catch (error) {
          if (!isOfACut(error)) counts.wrong.push(`${name}: ${error.message}`);
        } finally {
          region.releaseAll();
          client?.destroy();
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}

/** What a power cut may do to a client: it loses its connection, or each request; and it is not let in again before the power is back. */
function isOfACut(error) {
  return (
    error instanceof NbdEndedError ||
    error instanceof NbdRefusedError ||
    (error instanceof NbdReplyError && error.code === 'ESHUTDOWN') ||
    /ECONN/.test(error.code)
  );
}

/** Connects, reads a little, and goes without a word, in the middle of anything. */
export async function visit({ path, name, random, counts }) {
  const visitor = { sent: 0, answered: 0, cutOff: 0, wrong: counts.wrong };
  try {
    const client = await openClient(path, name, visitor);
    const reads = Array.from({ length: Math.floor(random() * 8) }, () =>
      client.read(Math.floor((random() * (client.sizeBytes - 2 ** 17)) / 512) * 512, 2 ** 17),
    );
    if (random() < 0.5) await Promise.allSettled(reads);
    else reads.forEach((read) => read.catch(() => {}));
    client.destroy();
  } catch {
    // the power is off, or the state is gone
  }
  counts.visits++;
}
