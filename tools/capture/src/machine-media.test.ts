import { expect, it } from 'vitest';
import type { CaseDescription } from './describe-case.js';
import { dimmsOf, layoutOf, memoryDevicesOf } from './machine-media.js';

const described = (qemu: string[], backing: Record<string, number>): CaseDescription => ({ name: 'x', cpu: 'max', qemu, cmdline: '', guest: '', backing });

it('finds the DIMMs by their slots', () => {
  const description = described([
    '-object', 'memory-backend-file,id=m0,share=on,mem-path={B}/nv0,size=1073872896', '-device', 'nvdimm,id=nv0,memdev=m0,label-size=128K',
    '-object', 'memory-backend-ram,id=m1,size=64M', '-device', 'nvdimm,id=nv1,memdev=m1', '-device', 'virtio-pmem-pci,memdev=m1',
  ], { nv0: 1073872896 });
  expect(dimmsOf(description)).toEqual([
    { handle: 1, labelBytes: 131072, mediaBytes: 2 ** 30, image: 'nv0' },
    { handle: 2, labelBytes: 0, mediaBytes: 64 * 2 ** 20, image: undefined },
  ]);
  expect([...layoutOf(description, [])]).toEqual([['nv0', { ranges: [{ start: 0, end: 2 ** 30 }], labelBytes: 131072 }]]);
});

it('finds the DIMMs of RAM', () => {
  const description = described(['-object', 'memory-backend-ram,id=b1,size=512M', '-device', 'pc-dimm,id=bd1,memdev=b1,node=1', '-device', 'pc-dimm,memdev=b2,addr=0x140000000'], {});
  expect(memoryDevicesOf(description)).toEqual([{ id: 'bd1', memdev: 'b1', size: 2 ** 29, node: 1 }, { id: 'dimm1', memdev: 'b2', size: 0, addr: 0x1_4000_0000 }]);
});

it.each([
  ['pc', '6G', '0x100000000', 3 * 2 ** 30],
  ['pc', '2G', '0x40000000', 2 ** 30],
  ['q35', '6G', '0x100000000', 2 * 2 ** 30],
  ['q35', '2560M', '0x80000000', 2 * 2 ** 30],
])('knows where %s with %s of RAM in a file has %s', (machine, size, address, offset) => {
  const description = described(['-machine', machine, '-m', size], { ram: 6 * 2 ** 30 });
  const end = `0x${(Number(address) + 2 ** 20 - 1).toString(16)}`;
  const layouts = layoutOf(description, [{ start: '0x0', end: '0x9fbff', type: 'usable' }, { start: address, end, type: 'persistent (type 12)' }]);
  expect(layouts.get('ram')?.ranges).toEqual([{ start: offset, end: offset + 2 ** 20 }]);
});
