import fc from 'fast-check';
import { GIB, KernelError, MIB, TIB, seededRandom } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { capturedMedia, mediaLines } from '../test/captured-media.js';
import { type MemoryNamespace, memoryNamespace } from '../test/memory-namespace.js';
import { type BttConfig, attachBtt, probeBtt, readSector, writeSector } from './btt.js';
import { blockOffset, mapBlock, readMap } from './btt-arena.js';
import { decodeBttInfo, encodeBttInfo } from './btt-info.js';
import { NULL_UUID } from './uuid.js';

const CONFIG: BttConfig = {
  uuid: '00112233-4455-6677-8899-aabbccddeeff',
  parentUuid: undefined,
  lbaSize: 4096,
  claimClass: 'btt2',
  region: { name: 'region0', readOnly: false },
};
const SMALL = 16 * MIB;

const attach = (io: MemoryNamespace, config: Partial<BttConfig> = {}, lines: string[] = []) => attachBtt(io, { ...CONFIG, ...config }, (line) => lines.push(line));
const filled = (length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  seededRandom(seed).fill(bytes);
  return bytes;
};
/** As toEqual, for pages of bytes: fast where they are equal. */
const expectBytes = (actual: Uint8Array, expected: Uint8Array): void => {
  if (!Buffer.from(actual).equals(expected)) expect(actual).toEqual(expected);
};
const read = (btt: ReturnType<typeof attach>, sector: number): Uint8Array => {
  const target = new Uint8Array(btt.sectorSize);
  readSector(btt, sector, target);
  return target;
};

describe('BTTs that Linux 6.1 made', () => {
  const ARENAS = [
    { dump: 'd-reconf.sector', offset: 0, size: GIB, capacity: 1071611904 },
    { dump: 'd-reconf.sector520', offset: 0, size: GIB, capacity: 947694592 },
    { dump: 'd-multi.four', offset: 768 * MIB, size: 128 * MIB, capacity: 133005312 },
    { dump: 'd-two-dimms.nv1', offset: 0, size: 512 * MIB, capacity: 535265280 },
    { dump: 'c-keep-sector.end', offset: 3 * GIB, size: GIB, capacity: 1071611904 },
  ];

  it.each(ARENAS)('$dump is what is made here with the same UUIDs, byte for byte', ({ dump, offset, size, capacity }) => {
    const media = capturedMedia(dump);
    const { uuid, parentUuid, externalLbaSize } = decodeBttInfo(media.read(offset + 4096, 4096));
    const io = memoryNamespace(size);
    const lines: string[] = [];
    const config = { uuid, lbaSize: externalLbaSize, claimClass: 'btt', parentUuid: parentUuid === NULL_UUID ? undefined : parentUuid } as const;
    const btt = attach(io, config, lines);
    expect(lines).toEqual(['No existing arenas']);
    expect(btt.nrSectors * btt.sectorSize).toBe(capacity);
    const sections = media.sections.filter((section) => section.offset >= offset && section.offset + section.length <= offset + size);
    expect(sections.map(({ name }) => name).sort()).toEqual(expect.arrayContaining(['btt-info', 'btt-log-head']));
    for (const section of sections) {
      expect(mediaLines(io.bytes(section.offset - offset, section.length))).toEqual(mediaLines(media.read(section.offset, section.length)));
    }
  });

  it.each([
    { dump: 'd-sizes-b.end', sizes: [512 * MIB, GIB, 3 * GIB] },
    { dump: 'd-modes-256m.end', sizes: [256 * MIB] },
  ])('$dump: the second info blocks, which outlive their namespaces', ({ dump, sizes }) => {
    const media = capturedMedia(dump);
    for (const size of sizes) {
      const captured = media.read(size - 4096, 4096);
      const { uuid, parentUuid, externalLbaSize } = decodeBttInfo(captured);
      const io = memoryNamespace(size);
      attach(io, { uuid, parentUuid, lbaSize: externalLbaSize, claimClass: 'btt' });
      expect(mediaLines(io.bytes(size - 4096, 4096))).toEqual(mediaLines(captured));
    }
  });

  const kept = (size: number): MemoryNamespace => {
    const media = capturedMedia('c-keep-sector.boot2');
    const io = memoryNamespace(size);
    for (const { offset, length } of media.sections) {
      if (offset + length - 3 * GIB <= size) io.write(offset - 3 * GIB, media.read(offset, length));
    }
    // The dump has the head of the flog only; the rest was never used either.
    const log = decodeBttInfo(media.read(3 * GIB + 4096, 4096));
    for (let lane = 16; lane < 256 && size === GIB; lane++) {
      const free = log.externalNlba + lane;
      io.write(4096 + Number(log.logOffset) + lane * 64, new Uint8Array(Uint32Array.of(lane, free, free, 1).buffer));
    }
    io.nrWrites = 0;
    return io;
  };
  const config = { uuid: '3a727635-bb5f-483c-87ba-e6b518453960', claimClass: 'btt' } as const;

  it('are found at the next boot, and not written to', () => {
    const io = kept(GIB);
    expect(probeBtt(io, { claimClass: 'none', parentUuid: undefined })).toEqual({ found: { uuid: config.uuid, lbaSize: 4096 } });
    const lines: string[] = [];
    expect(attach(io, config, lines).nrSectors * 4096).toBe(1071611904);
    expect([lines, io.nrWrites]).toEqual([[], 0]);
  });

  it('are refused with the same lines when the namespace has shrunk', () => {
    const io = kept(512 * MIB);
    const lines: string[] = [];
    expect(() => attach(io, config, lines)).toThrow(expect.objectContaining({ code: 'ENOMEM', cause: expect.objectContaining({ code: 'EFAULT' }) }));
    expect(lines).toEqual(['Unable to deduce log/padding indices', 'init: error in arena_discover: -14']);
    expect(io.nrWrites).toBe(0);
  });

  it('keep their size when the namespace has grown', () => {
    const io = memoryNamespace(2 * GIB, kept(GIB).pages);
    expect(attach(io, config).nrSectors * 4096).toBe(1071611904);
  });
});

describe('attachBtt', () => {
  it('needs 16 MiB behind its initial offset', () => {
    expect(() => attach(memoryNamespace(SMALL), { claimClass: 'btt' })).toThrow(expect.objectContaining({ code: 'ENXIO' }));
    expect(attach(memoryNamespace(SMALL + 4096), { claimClass: 'btt' }).nrSectors).toBe(3829);
    expect(attach(memoryNamespace(SMALL)).nrSectors).toBe(3829);
    expect(probeBtt(memoryNamespace(SMALL - 1), CONFIG)).toEqual({ refused: 'ENXIO' });
  });

  it('makes nothing in a read-only region', () => {
    const io = memoryNamespace(SMALL);
    const lines: string[] = [];
    expect(() => attach(io, { region: { name: 'region0', readOnly: true } }, lines)).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
    expect(lines).toEqual(['No existing arenas', 'region0 is read-only, unable to init btt metadata']);
    expect(io.nrWrites).toBe(0);
  });

  it('makes 400 TiB of arenas, and finds them again', () => {
    const io = memoryNamespace(400 * TIB);
    const made = attach(io);
    const found = attach(io);
    expect(made.arenas).toHaveLength(800);
    expect(found.nrSectors).toBe(made.nrSectors);
    const last = made.nrSectors - 1;
    writeSector(made, last, filled(4096, 1));
    expectBytes(read(attach(io), last), filled(4096, 1));
    expect(() => read(made, last + 1)).toThrow(expect.objectContaining({ code: 'EIO' }));
  });

  it('does not probe a BTT of the other version, nor of another namespace', () => {
    const io = memoryNamespace(SMALL);
    attach(io, { parentUuid: CONFIG.uuid });
    expect(probeBtt(io, { claimClass: 'btt2', parentUuid: CONFIG.uuid })).toHaveProperty('found');
    expect(probeBtt(io, { claimClass: 'btt2', parentUuid: undefined })).toEqual({ refused: 'ENODEV' });
    io.write(0, encodeBttInfo({ ...decodeBttInfo(io.bytes(0, 4096)), versionMinor: 1 }));
    expect(probeBtt(io, { claimClass: 'btt2', parentUuid: CONFIG.uuid })).toEqual({ refused: 'ENODEV' });
  });

  it('refuses a second arena that is not there, and writes nothing', () => {
    const io = memoryNamespace(TIB);
    attach(io);
    io.zero!(512 * GIB, 4096);
    io.nrWrites = 0;
    const lines: string[] = [];
    expect(() => attach(io, {}, lines)).toThrow(KernelError);
    expect(lines).toEqual(['Found corrupted metadata!', 'init: error in arena_discover: -19']);
    expect(io.nrWrites).toBe(0);
  });

  it('refuses fewer free blocks than lanes', () => {
    const io = memoryNamespace(SMALL);
    attach(io);
    io.write(0, encodeBttInfo({ ...decodeBttInfo(io.bytes(0, 4096)), nfree: 255 }));
    const lines: string[] = [];
    expect(() => attach(io, {}, lines)).toThrow(KernelError);
    expect(lines).toEqual(['nfree 255 smaller than lane count 256', 'init: error in arena_discover: -19']);
  });

  it('goes on with the slots of an old kernel', () => {
    const io = memoryNamespace(SMALL);
    const btt = attach(io);
    writeSector(btt, 5, filled(4096, 5));
    const { logOffset } = btt.arenas[0]!.layout;
    io.write(logOffset + 32, io.bytes(logOffset + 16, 16)); // slot 1 → slot 2
    io.write(logOffset + 16, new Uint8Array(16));
    const old = attach(io);
    expect(old.arenas[0]!.logIndices).toEqual([0, 2]);
    for (let n = 0; n < 5; n++) writeSector(old, n, filled(4096, n));
    expect(io.bytes(logOffset + 16, 16)).toEqual(new Uint8Array(16));
    const again = attach(io);
    for (let n = 0; n <= 5; n++) expectBytes(read(again, n), n < 5 ? filled(4096, n) : filled(4096, 5));
  });
});

describe('sectors', () => {
  it.each([512, 520, 4096, 4160])('of %i bytes read back what was written last, in any order, on any lane, through reboots', (lbaSize) => {
    const step = fc.record({ sector: fc.nat(40), seed: fc.nat(1000), lane: fc.constantFrom(0, 1, 2, 255), reboot: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const io = memoryNamespace(SMALL);
        const model = new Map<number, Uint8Array>();
        let btt = attach(io, { lbaSize });
        const place = (sector: number): number => (sector > 20 ? btt.nrSectors - sector : sector);
        for (const { sector, seed, lane, reboot } of steps) {
          const data = filled(btt.sectorSize, seed);
          writeSector(btt, place(sector), data, lane);
          model.set(place(sector), data);
          if (reboot) btt = attach(io, { lbaSize });
        }
        for (let sector = 0; sector <= 40; sector++) {
          expectBytes(read(btt, place(sector)), model.get(place(sector)) ?? new Uint8Array(btt.sectorSize));
        }
        expectBijection(btt);
      }),
      { numRuns: 30 },
    );
  });

  it('carry their metadata', () => {
    const io = memoryNamespace(SMALL);
    const btt = attach(io, { lbaSize: 520 });
    const metadata = new Uint8Array(8);
    writeSector(btt, 3, filled(512, 1), 0, filled(8, 2));
    readSector(btt, 3, new Uint8Array(512), metadata);
    expect(metadata).toEqual(filled(8, 2));
  });

  it('are durable step by step: data, two halves of the flog entry, map', () => {
    const io = memoryNamespace(SMALL);
    const btt = attach(io);
    const [writes, flushes] = [io.nrWrites, io.nrFlushes];
    writeSector(btt, 3, filled(4096, 1));
    expect([io.nrWrites - writes, io.nrFlushes - flushes]).toEqual([4, 4]);
  });
});

/** No block of the first 100 and last 100 map entries is mapped twice, or mapped and free. */
function expectBijection(btt: ReturnType<typeof attach>): void {
  const arena = btt.arenas[0]!;
  const lbas = Array.from({ length: 200 }, (_, n) => (n < 100 ? n : arena.layout.externalNlba - 200 + n));
  const blocks = [...lbas.map((lba) => mapBlock(readMap(arena, lba), lba)), ...arena.freeBlock];
  expect(new Set(blocks).size).toBe(blocks.length);
}

describe('lost media', () => {
  const data = filled(4096, 9);
  const setup = () => {
    const io = memoryNamespace(SMALL);
    const btt = attach(io);
    writeSector(btt, 3, data);
    const arena = btt.arenas[0]!;
    const mapped = blockOffset(arena, mapBlock(readMap(arena, 3), 3));
    return { io, btt, arena, mapped };
  };

  it('under a sector: EIO, remembered across a reboot, until the sector is written', () => {
    const { io, btt, mapped } = setup();
    io.lost = [{ start: mapped + 512, end: mapped + 1024 }];
    expect(() => read(btt, 3)).toThrow(expect.objectContaining({ code: 'EIO' }));
    const again = attach(io);
    expect(() => read(again, 3)).toThrow(/marked as lost/);
    writeSector(again, 3, data);
    expectBytes(read(again, 3), data);
    expect(io.lost).toEqual([]); // the old block was repaired when it became free
    expectBijection(again);
  });

  it('under the old block of a write that a reboot interrupts is repaired at attach', () => {
    const { io, btt, mapped } = setup();
    io.lost = [{ start: mapped, end: mapped + 512 }];
    expect(() => read(btt, 3)).toThrow(KernelError);
    const lost = io.lost;
    writeSector(btt, 3, data);
    io.lost = lost; // as if the cut had come before the repair
    attach(io);
    expect(io.lost).toEqual([]);
  });

  it('under the free block is repaired before it is used', () => {
    const { io, btt, arena } = setup();
    const free = blockOffset(arena, arena.freeBlock[0]!);
    io.lost = [{ start: free, end: free + 64 }];
    writeSector(btt, 4, data);
    expect([io.lost, read(btt, 4)]).toEqual([[], data]);
  });

  it('under the map: EIO for reads and writes of these sectors, and nothing changes', () => {
    const { io, btt, arena } = setup();
    const map = arena.layout.mapOffset;
    io.lost = [{ start: map, end: map + 64 }];
    const before = { block: arena.freeBlock[0], seq: arena.freeSeq[0] };
    expect(() => read(btt, 3)).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect(() => writeSector(btt, 3, filled(4096, 1))).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect({ block: arena.freeBlock[0], seq: arena.freeSeq[0] }).toEqual(before);
    io.lost = [];
    expectBytes(read(btt, 3), data);
    writeSector(btt, 20, data); // a neighbour in another line of the map
    expectBytes(read(btt, 20), data);
  });

  it('when the map cannot be written, the arena takes no more writes, and recovery finishes the one that was announced', () => {
    const { io, btt, arena } = setup();
    const { mapOffset, logOffset } = arena.layout;
    const write = io.write;
    io.write = (offset, source) => {
      if (offset >= mapOffset && offset < logOffset) throw new KernelError('EIO', 'injected');
      write(offset, source);
    };
    expect(() => writeSector(btt, 3, filled(4096, 1))).toThrow('injected');
    io.write = write;
    expect(() => writeSector(btt, 4, data)).toThrow(/read-only/);
    expectBytes(read(btt, 3), data);
    expectBytes(read(attach(io), 3), filled(4096, 1));
  });

  it('in an arena whose flag says so: reads go on, writes are refused', () => {
    const { io } = setup();
    io.write(0, encodeBttInfo({ ...decodeBttInfo(io.bytes(0, 4096)), flags: 1 }));
    const lines: string[] = [];
    const btt = attach(io, {}, lines);
    expect(lines).toEqual(['Found arena with an error flag']);
    expectBytes(read(btt, 3), data);
    expect(() => writeSector(btt, 3, data)).toThrow(/read-only/);
  });

  it.each([
    { name: 'zero', entry: 0x8000_0005, want: new Uint8Array(4096) },
    { name: 'error', entry: 0x4000_0005, want: 'EIO' },
    { name: 'never written, whatever its low bits', entry: 0x0000_0005, want: new Uint8Array(4096) },
    { name: 'outside of the data area', entry: 0xffff_ffff, want: 'EIO' },
  ])('map entries that say $name', ({ entry, want }) => {
    const { io, btt, arena } = setup();
    io.write(arena.layout.mapOffset + 28, new Uint8Array(Uint32Array.of(entry).buffer));
    if (want === 'EIO') expect(() => read(btt, 7)).toThrow(expect.objectContaining({ code: 'EIO' }));
    else expectBytes(read(btt, 7), want as Uint8Array);
  });
});
