import { KernelError, MIB, GIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { capturedMedia, capturedSection, mediaLines } from '../test/captured-media.js';
import { memoryConfigArea } from '../test/memory-config-area.js';
import { type Namespace, createNamespace, destroyNamespace, labelOf, reconfigureNamespace } from '../test/ndctl-stores.js';
import { type LabelArea, activeLabels, deleteLabels, everyLabel, initLabelArea, nrFreeSlots, openLabelArea, updateLabels } from './label-area.js';

const AREA_SIZE = 131072;

/** A UUID that the capture does not show. */
const lost = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

interface Capture {
  dump: string;
  replay(area: LabelArea): void;
}

/** What was run before d-reconf's dumps: each step is one command. */
const RECONF: { dump: string; step: (area: LabelArea) => void }[] = (() => {
  const ns = (uuid: string, lbaSize = 512): Namespace => ({ uuid, size: GIB, lbaSize });
  const uuids = {
    fsdax: '32984cbe-4995-40a9-b021-d0e71d5e375f',
    devdax: uuidIn('d-reconf.devdax'),
    sector: 'a6307e17-2009-4a46-9067-4b80812e3ccd',
    sector520: uuidIn('d-reconf.sector520'),
    raw: uuidIn('d-reconf.raw'),
    fsdaxmem: uuidIn('d-reconf.fsdaxmem'),
    end: uuidIn('d-reconf.end'),
  };
  return [
    { dump: 'd-reconf.fsdax', step: (area) => createNamespace(area, ns(uuids.fsdax)) },
    { dump: 'd-reconf.devdax', step: (area) => reconfigureNamespace(area, ns(uuids.fsdax), ns(uuids.devdax)) },
    { dump: 'd-reconf.sector', step: (area) => reconfigureNamespace(area, ns(uuids.devdax), ns(uuids.sector, 4096)) },
    { dump: 'd-reconf.sector520', step: (area) => reconfigureNamespace(area, ns(uuids.sector, 4096), ns(uuids.sector520, 4096), { keepLbaSize: true }) },
    { dump: 'd-reconf.raw', step: (area) => reconfigureNamespace(area, ns(uuids.sector520, 4096), ns(uuids.raw, 4096)) },
    { dump: 'd-reconf.fsdaxmem', step: (area) => reconfigureNamespace(area, ns(uuids.raw, 4096), ns(uuids.fsdaxmem, 4096)) },
    {
      dump: 'd-reconf.end',
      step(area) {
        reconfigureNamespace(area, ns(uuids.fsdaxmem, 4096), ns(uuids.end, 4096)); // raw
        destroyNamespace(area, ns(uuids.end, 4096));
      },
    },
  ];
})();

function uuidIn(dump: string): string {
  return everyLabel(openLabelArea(memoryConfigArea(capturedSection(capturedMedia(dump), 'label-area')))!)[1]!.uuid;
}

const MULTI: Namespace[] = [
  { uuid: 'c7c1af2a-d160-4682-910e-b6ee7834b20a', name: 'first', size: 512 * MIB },
  { uuid: '36cd4466-7d4c-4f7b-9fa8-d09525d875c3', name: 'second', size: 256 * MIB, dpa: 512 * MIB },
  { uuid: 'ef6273fb-8fb9-4ab9-b04b-71909a492838', name: 'third', size: 128 * MIB, dpa: 768 * MIB, lbaSize: 4096 },
  { uuid: 'db9024c4-52cd-407c-ba52-ebd0d7dcca2c', size: 64 * MIB, dpa: 896 * MIB },
];

const CAPTURES: Capture[] = [
  { dump: 'd-1g-default.init', replay: () => {} },
  {
    dump: 'd-sizes-b.end', // 20 namespaces made and destroyed, 3 that the kernel refused
    replay(area) {
      const sizes = [...repeat(512 * MIB, 8), ...repeat(GIB, 10), ...repeat(3 * GIB, 10)];
      expect(sizes).toHaveLength(28);
      sizes.forEach((size, index) => {
        const isSector = [6, 16, 26].includes(index); // the last but one of each size, then raw
        const ns = { uuid: index === 27 ? 'de9df3ec-a8a9-4b25-816c-399770f08ba1' : lost(index), size, lbaSize: isSector ? 4096 : 512 };
        createNamespace(area, ns);
        destroyNamespace(area, ns);
      });
    },
  },
  { dump: 'd-multi.four', replay: (area) => MULTI.forEach((ns) => createNamespace(area, ns)) },
  {
    dump: 'd-multi.end',
    replay(area) {
      MULTI.forEach((ns) => createNamespace(area, ns));
      destroyNamespace(area, MULTI[1]!);
      createNamespace(area, { uuid: 'c5064a67-c946-47fa-925a-5b7e3a47a895', size: 1088 * MIB, dpa: 960 * MIB });
      createNamespace(area, { uuid: '01ad959a-387d-489d-b82b-9721f21a2522', size: 256 * MIB, dpa: 512 * MIB });
      destroyNamespace(area, MULTI[0]!);
    },
  },
  {
    dump: 'd-two-dimms.nv1',
    replay(area) {
      const devdax = { uuid: lost(1), size: 512 * MIB, cookie: 0x2468ae00123457n };
      createNamespace(area, devdax);
      reconfigureNamespace(area, devdax, { ...devdax, uuid: 'e22547fd-300e-40c2-9419-5336cf53498e', lbaSize: 4096 });
    },
  },
  {
    dump: 'e-sysram-small-96m.end',
    replay(area) {
      createNamespace(area, { uuid: '8267f015-ee79-4268-89ac-d96034a5e569', size: 96 * MIB });
      createNamespace(area, { uuid: '76513775-b34e-4091-b692-46c558fc533f', size: 208 * MIB, dpa: 96 * MIB });
      createNamespace(area, { uuid: 'c8141020-803d-48ca-8aac-ed96e7532311', size: 400 * MIB, dpa: 304 * MIB });
    },
  },
  ...RECONF.map(({ dump }, last) => ({ dump, replay: (area: LabelArea) => RECONF.slice(0, last + 1).forEach(({ step }) => step(area)) })),
];

function repeat<T>(value: T, times: number): T[] {
  return Array.from({ length: times }, () => value);
}

describe('label areas that ndctl 76 and Linux 6.1 wrote', () => {
  it.each(CAPTURES)('$dump is what the same commands write here, byte for byte', ({ dump, replay }) => {
    const config = memoryConfigArea(new Uint8Array(AREA_SIZE));
    replay(initLabelArea(config, 128, 'ndctl'));
    expect(mediaLines(config.bytes)).toEqual(mediaLines(capturedSection(capturedMedia(dump), 'label-area')));
  });

  it('reads them: the labels that hold, and the stale ones', () => {
    const area = openLabelArea(memoryConfigArea(capturedSection(capturedMedia('d-multi.end'), 'label-area')))!;
    expect(area).toMatchObject({ current: 0, seq: 3, nrSlots: 1020 });
    expect(activeLabels(area).map(({ slot, name, dpa, rawSize }) => [slot, name, dpa / MIB, rawSize / MIB])).toEqual([
      [2, '', 960, 1088],
      [3, 'third', 768, 128],
      [4, '', 896, 64],
      [5, '', 512, 256],
    ]);
    expect(everyLabel(area).map(({ slot, flags }) => [slot, flags])).toEqual([[0, 8], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0]]);
    expect(nrFreeSlots(area)).toBe(1016);
  });
});

describe('label updates', () => {
  const ns = { uuid: lost(1), size: 256 * MIB };

  it.each([128, 256] as const)('survive a reopen, with labels of %i bytes', (labelSize) => {
    const config = memoryConfigArea(new Uint8Array(4096));
    createNamespace(initLabelArea(config, labelSize, 'kernel'), ns);
    expect(activeLabels(openLabelArea(config)!)).toEqual([{ ...labelOf(ns), slot: 1, flags: 0 }]);
  });

  it('replace a label whose uuid changes, and leave no other', () => {
    const area = initLabelArea(memoryConfigArea(new Uint8Array(4096)), 128, 'kernel');
    createNamespace(area, ns);
    updateLabels([{ area, label: labelOf({ ...ns, uuid: lost(2) }), replaces: lost(1) }]);
    expect(activeLabels(area).map(({ uuid }) => uuid)).toEqual([lost(2)]);
    deleteLabels(area, lost(2));
    expect(nrFreeSlots(area)).toBe(28);
  });

  it('take the last free slot, and then refuse with ENXIO and change nothing', () => {
    const config = memoryConfigArea(new Uint8Array(1024));
    const area = initLabelArea(config, 128, 'ndctl'); // 4 slots, and 60 bits beyond that are no slots
    for (let n = 0; n < 3; n++) createNamespace(area, { uuid: lost(n), size: MIB });
    expect(nrFreeSlots(area)).toBe(1);
    expect(() => createNamespace(area, { uuid: lost(3), size: MIB })).toThrow(KernelError); // its second pass finds no slot
    expect(nrFreeSlots(area)).toBe(0);
    const before = config.bytes.slice();
    expect(() => updateLabels([{ area, label: labelOf({ uuid: lost(3), size: MIB }) }])).toThrow(/no free label slot/);
    expect(config.bytes).toEqual(before);
  });

  it('write every DIMM of a set as UPDATING before they clear the flag on the first', () => {
    const areas = [0, 1].map(() => initLabelArea(memoryConfigArea(new Uint8Array(1024)), 256, 'kernel'));
    const order: string[] = [];
    const watched = areas.map((area, dimm) => ({
      ...area,
      config: { ...area.config, write: (offset: number, bytes: Uint8Array) => void (offset >= 512 && order.push(`${dimm}:${bytes[80]}`)) },
    }));
    updateLabels(watched.map((area, position) => ({ area, label: { ...labelOf(ns), nlabel: 2, position } })));
    expect(order).toEqual(['0:8', '1:8', '0:0', '1:0']);
  });

  it('keep what is in memory when a write fails, so that a retry is the same update', () => {
    const config = memoryConfigArea(new Uint8Array(1024));
    const area = initLabelArea(config, 128, 'kernel');
    createNamespace(area, ns);
    const { current, seq, free } = area;
    const broken: LabelArea = { ...area, config: { ...config, write: () => { throw new KernelError('EIO', 'injected'); } } };
    expect(() => deleteLabels(broken, ns.uuid)).toThrow('injected');
    expect(broken).toMatchObject({ current, seq, free });
  });
});
