/**
 * What every pmem disk must do with data, whatever its driver and its mapping: a suite to be run over each of them.
 */
import fc from 'fast-check';
import { SECTOR_SIZE, pfn, sector } from '@holdfast/lib';
import { BLK_STS, REQ, REQ_OP, allocBio, bdevRwPage, bioAddPage, openBlockDevice, submitBio, submitBioWait, type Gendisk } from '@holdfast/block';
import { beforeEach, describe, expect, it } from 'vitest';
import { DATA_PFN, dataBio, deviceBytes, fillFrames, run, type TestKernel } from './kernel.js';

const { READ, WRITE } = REQ_OP;

/** A plain toEqual of so many bytes takes seconds. */
export const expectBytes = (actual: Uint8Array, expected: Uint8Array): void => expect(Buffer.compare(actual, expected)).toBe(0);

/** @param attach makes a fresh disk of 16 MiB, its bytes at the start of the device */
export function testPmemDisk(name: string, attach: () => { kernel: TestKernel; disk: Gendisk }): void {
  describe(`a disk: ${name}`, () => {
    let kernel: TestKernel;
    let disk: Gendisk;
    beforeEach(() => ({ kernel, disk } = attach()));

    it('completes within submitBio', () => {
      let ended = 0;
      const bio = dataBio(disk.part0, WRITE, 0, 4096);
      bio.endIo = () => ended++;
      submitBio(bio);
      expect([ended, bio.status]).toEqual([1, BLK_STS.OK]);
    });

    it.each([
      { what: 'a page', at: 8, frame: DATA_PFN, offset: 0, length: 4096 },
      { what: 'one sector in the middle of a page', at: 3, frame: DATA_PFN, offset: 1024, length: 512 },
      { what: 'pages that follow each other', at: 16, frame: DATA_PFN, offset: 0, length: 128 * 1024 },
      { what: 'from the middle of one page to that of another', at: 1, frame: DATA_PFN, offset: 3584, length: 8192 },
      { what: 'memory over the seam of two 2 MiB chunks', at: 5, frame: 1535, offset: 512, length: 16384 },
      { what: 'a device range over that seam', at: 4096 - 4, frame: DATA_PFN, offset: 0, length: 16384 },
      { what: 'the last page', at: 16 * 2048 - 8, frame: DATA_PFN, offset: 0, length: 4096 },
    ])('writes and reads $what', ({ at, frame, offset, length }) => {
      const { memory } = kernel.machine;
      const nrFrames = Math.ceil((offset + length) / 4096);
      const place = { frame, offset };
      fillFrames(kernel, 0x5a, nrFrames, frame);
      memory.frame(frame)[offset] = 1;
      memory.frame(frame + nrFrames - 1)[(offset + length - 1) % 4096] = 2;
      expect(run(disk.part0, WRITE, at, length, place)).toBe(BLK_STS.OK);
      const expected = new Uint8Array(length).fill(0x5a);
      expected[0] = 1;
      expected[length - 1] = 2;
      expectBytes(deviceBytes(kernel, at * SECTOR_SIZE, length), expected);
      expect(deviceBytes(kernel, at * SECTOR_SIZE - 512, 512).every((byte) => byte === 0)).toBe(true);

      fillFrames(kernel, 0xee, nrFrames, frame);
      expect(run(disk.part0, READ, at, length, place)).toBe(BLK_STS.OK);
      const read = new Uint8Array(nrFrames * 4096);
      for (let i = 0; i < nrFrames; i++) read.set(memory.frame(frame + i), i * 4096);
      const around = new Uint8Array(nrFrames * 4096).fill(0xee);
      around.set(expected, offset);
      expectBytes(read, around);
    });

    it('moves scattered pages in the order of their entries', () => {
      const { memory } = kernel.machine;
      const bio = allocBio(disk.part0, 3, WRITE);
      for (const [i, frame] of [DATA_PFN + 9, DATA_PFN + 2, DATA_PFN + 30].entries()) {
        memory.frame(frame).fill(i + 1);
        bioAddPage(bio, pfn(frame), 1024 * (i + 1), 512 * i);
      }
      bio.sector = sector(2);
      expect(submitBioWait(bio)).toBe(BLK_STS.OK);
      expectBytes(deviceBytes(kernel, 1024, 6144), Uint8Array.from({ length: 6144 }, (_, i) => (i < 1024 ? 1 : i < 3072 ? 2 : 3)));
    });

    it('refuses what reaches behind its end, and says so', () => {
      const end = disk.part0.nrSectors;
      expect(run(disk.part0, WRITE, end - 4, 4096)).toBe(BLK_STS.IOERR);
      expect(kernel.log.slice(-2)).toEqual(['swapper/0: attempt to access beyond end of device', `${disk.name}: rw=1, sector=${end - 4}, nr_sectors = 8 limit=${end}`]);
      expect(deviceBytes(kernel, (end - 4) * 512, 2048).every((byte) => byte === 0)).toBe(true);
    });

    it('moves single pages without a bio', () => {
      fillFrames(kernel, 9, 1);
      expect(bdevRwPage(disk.part0, sector(24), pfn(DATA_PFN), WRITE)).toBe(BLK_STS.OK);
      fillFrames(kernel, 0, 1);
      expect(bdevRwPage(disk.part0, sector(24), pfn(DATA_PFN), READ)).toBe(BLK_STS.OK);
      expect(kernel.machine.memory.frame(DATA_PFN).every((byte) => byte === 9)).toBe(true);
    });

    it('takes a flush, alone or with data', () => {
      expect(submitBioWait(allocBio(disk.part0, 0, WRITE | REQ.PREFLUSH))).toBe(BLK_STS.OK);
      expect(run(disk.part0, WRITE | REQ.PREFLUSH | REQ.FUA, 0, 4096)).toBe(BLK_STS.OK);
    });

    it('is an array of bytes to user space', () => {
      const write = fc.tuple(fc.nat(200_000), fc.nat(20_000), fc.nat(255));
      fc.assert(fc.property(fc.array(write, { maxLength: 6 }), (writes) => {
        const file = openBlockDevice(disk.part0);
        const before = new Uint8Array(256 * 1024);
        file.pread(before, 0);
        for (const [at, length, value] of writes) {
          file.pwrite(new Uint8Array(length).fill(value), at);
          before.fill(value, at, at + length);
        }
        file.fsync();
        const after = new Uint8Array(256 * 1024);
        expect(file.pread(after, 0)).toBe(after.length);
        expectBytes(after, before);
      }), { numRuns: 25 });
    });
  });
}
