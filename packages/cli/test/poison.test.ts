/** Lost bytes of an NVDIMM, met by loads, DAX and the BTT: who is told, what is isolated, and what heals. */
import { PROT, Signal, readFile } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type CommandRecord, type System, bootFromOptions, createCommandRunner } from '../src/index.js';

const PMEM_START = 0x1_4000_0000;

/** One NVDIMM of 64 MiB whose firmware clears errors, with a namespace. */
async function bootWith(namespace: string): Promise<{ system: System; run: (command: string) => Promise<CommandRecord> }> {
  const system = await bootFromOptions({ memory: '4G', nvdimm: ['size=64M,label=128K'], ars: true });
  const runner = createCommandRunner(system);
  const run = async (command: string): Promise<CommandRecord> => {
    await runner.run(command);
    return runner.records.at(-1) as CommandRecord;
  };
  expect(await run(`ndctl create-namespace -f -e namespace0.0 ${namespace}`)).toMatchObject({ rc: 0 });
  return { system, run };
}

function outcome(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    if (error instanceof Signal) return `${error.signal} ${error.code}`;
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

describe('dd over lost bytes', () => {
  it('stops at them without a word on what it copied, or puts zeros with conv=noerror,sync', async () => {
    const { run } = await bootWith('-m raw');
    await run('ndctl inject-error namespace0.0 -B 8 -n 1');
    const dd = 'dd if=/dev/pmem0 of=/tmp/x bs=512 count=16 iflag=direct';
    expect(await run(dd)).toMatchObject({ rc: 1, stderr: ['dd: /dev/pmem0: Input/output error'] });
    expect(await run(`${dd} conv=noerror,sync`)).toMatchObject({ rc: 0, stderr: ['dd: /dev/pmem0: Input/output error', '15+1 records in', '16+0 records out'] });
    expect(await run(`${dd} conv=noerror`)).toMatchObject({ rc: 0, stderr: ['dd: /dev/pmem0: Input/output error', '15+1 records in', '15+0 records out'] });
  });
});

describe('poison under a DAX mapping', () => {
  it('is a machine check at first, a bad block from then on, and goes with a write of whole pages', async () => {
    const { system } = await bootWith('-m raw');
    const { kernel } = system;
    const { machine } = kernel!;
    const process = kernel!.createProcess('app');
    const fd = process.open('/dev/pmem0', { write: true, dax: true });
    const badblocks = (): unknown => readFile(kernel!.root, '/sys/block/pmem0/badblocks');
    const address = process.mmap(fd, { length: 4 * 4096, prot: PROT.READ | PROT.WRITE });
    const buffer = process.mmap(null, { length: 4 * 4096 });
    process.store(buffer, new Uint8Array(4 * 4096).fill(9));
    machine.poison.inject(PMEM_START + 2 * 4096 + 512, 64);

    expect(badblocks()).toBe('');
    expect(outcome(() => process.load(address + 2 * 4096 + 512, 1))).toBe('SIGBUS BUS_MCEERR_AR');
    expect(badblocks()).toBe('17 1\n');
    expect(outcome(() => process.load(address + 2 * 4096 + 512, 1))).toBe('SIGBUS BUS_ADRERR');

    expect(outcome(() => process.pwrite(fd, buffer, 512, 2 * 4096 + 512))).toBe('EFAULT'); // no whole page
    expect(outcome(() => process.pwrite(fd, buffer, 4 * 4096, 0))).toBe(4 * 4096);
    expect([badblocks(), machine.poison.within(PMEM_START, 2 ** 26)]).toEqual(['', []]);
    expect(process.load(address + 2 * 4096 + 512, 1)).toEqual(Uint8Array.of(9));
    system.close();
  });

  it('ends a write before the page that it would tear', async () => {
    const { system } = await bootWith('-m raw');
    const { kernel } = system;
    const { machine } = kernel!;
    const process = kernel!.createProcess('app');
    const fd = process.open('/dev/pmem0', { write: true, dax: true });
    const buffer = process.mmap(null, { length: 3 * 4096 });
    machine.poison.inject(PMEM_START + 2 * 4096, 64);
    expect(outcome(() => process.pread(fd, buffer, 64, 2 * 4096))).toBe('EFAULT');
    expect(outcome(() => process.pwrite(fd, buffer, 2 * 4096 + 512, 0))).toBe(2 * 4096);
    expect(outcome(() => process.pread(fd, buffer, 4096, 2 * 4096))).toBe('EIO');
    system.close();
  });
});

describe('poison under a BTT', () => {
  it('costs the sector that has it, until that is written; the block that was lost is healed before it is used again', async () => {
    const { system, run } = await bootWith('-m sector -l 4096');
    const { machine } = system.kernel!;
    const sectors = async (): Promise<string[]> => {
      const answers: string[] = [];
      for (let at = 0; at < 4; at++) {
        const { rc, stdout } = await run(`dd if=/dev/pmem0s bs=4096 iflag=direct count=1 skip=${at} | head -n 1`);
        answers.push(rc === 0 && typeof stdout === 'string' && stdout !== '' ? stdout : 'lost');
      }
      return answers;
    };
    const write = (at: number, text: string): Promise<CommandRecord> => run(`echo ${text} | dd of=/dev/pmem0s bs=4096 seek=${at} conv=sync,fsync,notrunc`);
    for (const at of [0, 1, 2, 3]) expect(await write(at, `v${at}`)).toMatchObject({ rc: 0 });
    expect(await sectors()).toEqual(['v0', 'v1', 'v2', 'v3']);

    // The block of sector 2, by its bytes: the BTT puts it where it likes.
    const place = placeOf(system, 'v2');
    machine.poison.inject(place, 64);
    expect(await sectors()).toEqual(['v0', 'v1', 'lost', 'v3']);
    expect((await run('dmesg | tail -n 20')).stdout).toMatch(/nd_pmem btt0\.0: io error in READ sector 16, len 4096,/);

    expect(await write(2, 'new')).toMatchObject({ rc: 0 });
    expect(await sectors()).toEqual(['v0', 'v1', 'new', 'v3']);
    expect(machine.poison.within(PMEM_START, 2 ** 26)).toEqual([]);
    for (const round of ['a', 'b', 'c']) for (const at of [0, 1, 2, 3]) expect(await write(at, `${round}${at}`)).toMatchObject({ rc: 0 });
    expect(await sectors()).toEqual(['c0', 'c1', 'c2', 'c3']);
    system.close();
  });
});

/** The first address of the NVDIMM where `text` and a line's end are. */
function placeOf({ kernel }: System, text: string): number {
  const { machine } = kernel!;
  const wanted = new TextEncoder().encode(`${text}\n`);
  const bytes = new Uint8Array(4096);
  for (let at = PMEM_START; at < PMEM_START + 2 ** 26; at += 4096) {
    machine.memory.read(at as Parameters<typeof machine.memory.read>[0], bytes);
    if (wanted.every((byte, index) => bytes[index] === byte)) return at;
  }
  throw new Error(`${text} is nowhere`);
}
