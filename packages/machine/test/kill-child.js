/**
 * The process that gets killed: it stores numbered records to an image, and reports each one that has completed.
 * Record i fills block i % BLOCKS with the word i.   node kill-child.js IMAGE HOW
 */
import { writeSync } from 'node:fs';
import { createMachine, createNvdimm } from '@holdfast/machine';
import { openImageFile } from '@holdfast/machine/node';

const BLOCKS = 16;
const BLOCK_SIZE = 4096;

const [image, how] = process.argv.slice(2);
const medium = createNvdimm({ backing: openImageFile(image, { sizeBytes: BLOCKS * BLOCK_SIZE }) });
const { cpu } = createMachine({ media: [{ start: 0, medium }], persistence: how === 'eADR' ? 'cpu_cache' : 'memory_controller' });
const mapping = cpu.map(0, BLOCKS * BLOCK_SIZE, how === 'UC' ? 'UC' : 'WB');
const record = new Uint8Array(BLOCK_SIZE);
const words = new BigUint64Array(record.buffer);

for (let i = 1; ; i++) {
  words.fill(BigInt(i));
  const at = (i % BLOCKS) * BLOCK_SIZE;
  if (how === 'NT') mapping.writeFlushCache(at, record, 0, BLOCK_SIZE);
  else mapping.write(at, record, 0, BLOCK_SIZE);
  if (how === 'WB') mapping.clwb(at, BLOCK_SIZE);
  if (how === 'NT' || how === 'WB') cpu.sfence();
  writeSync(1, `${i}\n`);
}
