/** Writes what a boot told as the files of a case, which `pnpm golden` reads. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandFacts, expectedFacts } from './case-facts.js';
import type { CaseDescription } from './describe-case.js';
import { dimmsOf, memoryDevicesOf } from './machine-media.js';
import type { BootRecord } from './run-boot.js';

export interface WriteOptions {
  /** Write the texts that the facts were read from, too. */
  readonly texts: boolean;
}

export function writeCase(directory: string, description: CaseDescription, record: BootRecord, { texts }: WriteOptions): void {
  mkdirSync(join(directory, 'firmware'), { recursive: true });
  const write = (name: string, text: string | Buffer): void => writeFileSync(join(directory, name), text);
  write('case.json', `${JSON.stringify({ ...description, finished: record.finished }, undefined, 1)}\n`);
  write('expected.json', `${JSON.stringify(expectedFacts(description, record))}\n`);
  write('commands.json', `[\n${commandFacts(record).map((fact) => JSON.stringify(fact)).join(',\n')}\n]\n`);
  write('dmesg.txt', `${record.log.join('\n')}\n`);
  if (!record.finished) write('console.txt', record.console);
  write('firmware/e820.txt', `${record.log.filter((line) => line.startsWith('BIOS-e820: ')).join('\n')}\n`);
  write('firmware/cmdline', `${description.cmdline}\n`);
  for (const [name, bytes] of record.tables) write(`firmware/${name}`, bytes);
  const dimms = dimmsOf(description);
  if (dimms.length > 0) {
    const rows = dimms.map(({ handle, labelBytes, mediaBytes, image }) => ({
      handle,
      label_size: labelBytes,
      media_size: mediaBytes,
      ...(image === undefined ? {} : { image }),
    }));
    write('firmware/dimms.json', `${JSON.stringify(rows, undefined, 1)}\n`);
  }
  const devices = memoryDevicesOf(description);
  if (devices.length > 0) write('firmware/memory-devices.json', `${JSON.stringify(devices, undefined, 1)}\n`);
  if (!texts) return;
  for (const [label, parts] of record.captures) {
    mkdirSync(join(directory, 'captures', label), { recursive: true });
    for (const [name, text] of Object.entries(parts)) if (name !== 'command') write(`captures/${label}/${name}.txt`, text);
  }
}
