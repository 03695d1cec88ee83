/** The DMA engine: bytes between scatterlists, pages that are held meanwhile, and an engine that goes. */
import fc from 'fast-check';
import { type SgTable, sgAllocTable, sgPhys, sgTableFromPages } from '@holdfast/block';
import { type Pfn, KernelError, PAGE_SIZE, createIomem, createResource, formatIomem, insertResource, pfn, physAddr } from '@holdfast/lib';
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type DevicePages, createDevicePagesMap } from '@holdfast/mm';
import { createPci, createPciHost } from '@holdfast/pci';
import { describe, expect, it } from 'vitest';
import { createDmaCard } from './dma-card.js';
import { type DmaChannel, createDmaEngineDriver } from './dma-engine.js';

const PMEM = 2 ** 26;

function setUp({ byPfn = false, ddio = true } = {}) {
  const machine = createMachine({ ddio, media: [{ start: 0, medium: createDram(2 ** 24) }, { start: PMEM, medium: createNvdimm({ sizeBytes: 2 ** 22 }) }] });
  const host = createPciHost(machine);
  const card = createDmaCard(machine, host);
  const slot = host.plug(card);
  const iomem = createIomem();
  const window = createResource({ name: 'PCI Bus 0000:00', start: 0xc0000000, end: 0xfebfffff });
  insertResource(iomem, window);
  const pci = createPci({ bridge: host, printk: () => {} });
  pci.scan([window]);
  pci.assignResources();
  const channels: DmaChannel[] = [];
  const devicePages = createDevicePagesMap();
  let ringPages = 0;
  const pages = {
    allocPages() {
      ringPages++;
      return pfn(1);
    },
    freePages: () => void ringPages--,
  };
  pci.registerDriver(createDmaEngineDriver({ pci, memory: machine.memory, pages, devicePages, byPfn }, channels));
  return { machine, host, slot, pci, channels, devicePages, iomem, ringPages: () => ringPages };
}

/** Frames of pmem, of a design that has pages or has none. */
function devicePart(pte: DevicePages['pte'], ioByPfn: boolean, held: number[]): DevicePages {
  return {
    start: pfn(PMEM / PAGE_SIZE),
    end: pfn(PMEM / PAGE_SIZE + 1024),
    owner: 'pmem0',
    pte,
    ioByPfn,
    getPage(frame) {
      if (pte === 'special') throw new KernelError('EFAULT', 'no page');
      held.push(frame);
    },
    putPage: (frame) => void held.splice(held.indexOf(frame), 1),
  };
}

const frames = (first: number, count: number): Pfn[] => Array.from({ length: count }, (_, i) => pfn(first + i));
const table = (first: number, count: number): SgTable => sgTableFromPages(frames(first, count), 0, count * PAGE_SIZE);

function copy(channel: DmaChannel, to: SgTable, from: SgTable): string {
  let ended = 'pending';
  channel.submit(to, from, (error) => {
    ended = error ?? 'done';
  });
  channel.issuePending();
  return ended;
}

describe('a copy', () => {
  it('moves any list of runs to any other of the same length, in order', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 });
    fc.assert(fc.property(lengths, lengths, (a, b) => {
      const { machine, channels } = setUp();
      const total = Math.min(a.reduce((x, y) => x + y), b.reduce((x, y) => x + y));
      const source = runs(a, total, 16);
      const target = runs(b, total, 600);
      const bytes = Uint8Array.from({ length: total }, (_, i) => (i * 7) % 251);
      gather(machine, source, bytes, 'write');
      expect(copy(channels[0]!, target, source)).toBe('done');
      const got = new Uint8Array(total);
      gather(machine, target, got, 'read');
      expect(got).toEqual(bytes);
    }), { numRuns: 20 });
  });

  it('takes longer for more bytes, on the virtual clock', () => {
    const { machine, channels } = setUp();
    const time = (count: number): number => {
      const before = machine.clock.now;
      copy(channels[0]!, table(512, count), table(16, count));
      return machine.clock.now - before;
    };
    expect(time(64) - time(1)).toBeCloseTo((63 * PAGE_SIZE) / 6, 0);
  });

  it.each([true, false])('with DDIO %s is durable only if it went past the caches', (ddio) => {
    const { machine, channels } = setUp({ ddio });
    machine.memory.frame(pfn(16)).fill(0x5a);
    expect(copy(channels[0]!, table(PMEM / PAGE_SIZE, 1), table(16, 1))).toBe('done');
    expect(machine.undecided().length > 0).toBe(ddio);
  });

  it('fails where nothing is', () => {
    const { channels } = setUp();
    expect(copy(channels[0]!, table(2 ** 20, 1), table(16, 1))).toBe('EIO');
  });

  it('fails at poison, and not in the kernel', () => {
    const { machine, channels } = setUp();
    machine.poison.inject(physAddr(PMEM + 64), 64);
    expect(copy(channels[0]!, table(16, 1), table(PMEM / PAGE_SIZE, 1))).toBe('EIO');
  });

  it('is refused for lists of unlike length', () => {
    const { channels } = setUp();
    expect(() => channels[0]!.submit(table(100, 1), table(16, 2), () => {})).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});

describe('device memory', () => {
  it.each([
    { pte: 'devmap', ioByPfn: false, byPfn: false, want: 'done' },
    { pte: 'special', ioByPfn: false, byPfn: true, want: 'EOPNOTSUPP' },
    { pte: 'special', ioByPfn: true, byPfn: false, want: 'EOPNOTSUPP' },
    { pte: 'special', ioByPfn: true, byPfn: true, want: 'done' },
  ] as const)('$pte, by PFN $ioByPfn, for a driver that takes that: $byPfn: $want', ({ pte, ioByPfn, byPfn, want }) => {
    const { channels, devicePages } = setUp({ byPfn });
    const held: number[] = [];
    devicePages.register(devicePart(pte, ioByPfn, held));
    const attempt = (): string => {
      try {
        return copy(channels[0]!, table(PMEM / PAGE_SIZE, 2), table(16, 2));
      } catch (error) {
        return (error as KernelError).code;
      }
    };
    expect(attempt()).toBe(want);
    expect(held).toEqual([]);
  });

  it('is held from submit to the end', () => {
    const { channels, devicePages } = setUp();
    const held: number[] = [];
    devicePages.register(devicePart('devmap', false, held));
    channels[0]!.submit(table(PMEM / PAGE_SIZE, 2), table(PMEM / PAGE_SIZE + 8, 2), () => {});
    expect(held).toHaveLength(4);
    channels[0]!.issuePending();
    expect(held).toEqual([]);
  });
});

it.each(['pull', 'remove'])('by %s, at any of its transfers, ends the others with ENODEV and leaves nothing', (way) => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.nat(5), (count, when) => {
    const { channels, host, slot, pci, iomem, ringPages, devicePages } = setUp();
    const held: number[] = [];
    devicePages.register(devicePart('devmap', false, held));
    const channel = channels[0]!;
    const ends: string[] = [];
    const go = (): void => {
      if (way === 'remove') return pci.remove(pci.bus.devices[0]!);
      host.unplug(slot);
      pci.surpriseRemoved(slot);
    };
    for (let i = 0; i < count; i++) {
      channel.submit(table(PMEM / PAGE_SIZE + i, 1), table(16 + i, 1), (error) => {
        ends.push(error ?? 'done');
        if (i === when) go();
      });
    }
    channel.issuePending();
    expect(ends).toEqual(Array.from({ length: count }, (_, i) => (i <= when ? 'done' : 'ENODEV')));
    if (when >= count) go();
    expect({ held, channels, ring: ringPages() }).toEqual({ held: [], channels: [], ring: 0 });
    expect(formatIomem(iomem).trimEnd().split('\n')).toHaveLength(1);
    expect(() => channel.submit(table(100, 1), table(16, 1), () => {})).toThrow(expect.objectContaining({ code: 'ENODEV' }));
  }), { numRuns: 20 });
});

/** Runs of these lengths, cut to `total` bytes, a page apart. */
function runs(lengths: readonly number[], total: number, first: number): SgTable {
  const kept: number[] = [];
  for (let left = total, i = 0; left > 0 && i < lengths.length; i++) {
    kept.push(Math.min(lengths[i]!, left));
    left -= kept.at(-1)!;
  }
  const list = sgAllocTable(kept.length);
  kept.forEach((length, i) => {
    list.pfn[i] = first + 2 * i;
    list.offset[i] = (i * 13) % 512;
    list.length[i] = length;
  });
  return list;
}

function gather({ memory }: ReturnType<typeof createMachine>, list: SgTable, bytes: Uint8Array, how: 'read' | 'write'): void {
  let done = 0;
  for (let i = 0; i < list.nents; i++) {
    memory[how](physAddr(sgPhys(list, i)), bytes.subarray(done, done + list.length[i]!));
    done += list.length[i]!;
  }
}
