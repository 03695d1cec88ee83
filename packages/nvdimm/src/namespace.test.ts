import fc from 'fast-check';
import { GIB, KIB, KernelError, MIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type LabelledRegion, type LabelledRegionOptions, labelledRegion } from '../test/labelled-region.js';
import { createConfigArea, openConfigArea } from './dimm.js';
import { activeLabels, openLabelArea } from './label-area.js';
import { slotOffset } from './label-index.js';
import type { NdNamespace, Nvdimm } from './nd-device.js';

/** Of a label. */
const DPA_OFFSET = 104;

const uuidNr = (nr: number): string => `00000000-0000-4000-8000-${nr.toString(16).padStart(12, '0')}`;

/** A region with nd_pmem, which takes every namespace that may be attached. */
function withDriver(options?: LabelledRegionOptions): LabelledRegion {
  const found = labelledRegion(options);
  found.nvdimms.registerDriver({
    name: 'nd_pmem',
    match: ({ type }) => type === 'namespace',
    probe: (device) => {
      const ns = device as NdNamespace;
      if (ns.sizeBytes === 0 || ns.claim) throw new KernelError('ENODEV', 'not ready');
      return () => {};
    },
  });
  return found;
}

function code(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    return (error as KernelError).code;
  }
}

/** Store a UUID and a size, as ndctl does. */
function make({ store }: LabelledRegion, ns: string, nr: number, size: number): void {
  store(ns, 'uuid', uuidNr(nr));
  store(ns, 'size', size);
}

function labelsOf({ areas }: LabelledRegion, index = 0): [string, number, number][] {
  return activeLabels(openLabelArea(areas[index]!)!).map(({ uuid, dpa, rawSize }) => [uuid, dpa / MIB, rawSize / MIB]);
}

describe('a store to an idle namespace', () => {
  it.each<[what: string, attribute: string, value: string, result: string]>([
    ['a size that is no multiple of the region’s alignment', 'size', `${MIB}`, 'EINVAL'],
    ['a size above what is free', 'size', `${2 * GIB}`, 'ENOSPC'],
    ['a size that is no number', 'size', 'big', 'EINVAL'],
    ['a UUID that is none', 'uuid', 'abc', 'EINVAL'],
    ['the UUID that it has', 'uuid', uuidNr(1), 'EINVAL'],
    ['a UUID that another has', 'uuid', uuidNr(9), 'EINVAL'],
    ['a UUID with colons', 'uuid', '00:00:00:00:00:00:40:00:80:00:00:00:00:00:00:ff', 'ok'],
    ['a name of 63 characters', 'alt_name', 'n'.repeat(63), 'ok'],
    ['a name of 64 characters', 'alt_name', 'n'.repeat(64), 'EINVAL'],
    ['a sector size of 4096', 'sector_size', '4096', 'ok'],
    ['a sector size that only a BTT has', 'sector_size', '520', 'EINVAL'],
    ['a holder class', 'holder_class', 'pfn', 'ok'],
    ['no holder class', 'holder_class', '', 'ok'],
    ['a holder class that there is not', 'holder_class', 'raw', 'EINVAL'],
  ])('of %s', (_what, attribute, value, result) => {
    const found = labelledRegion();
    make(found, 'namespace0.0', 1, 256 * MIB);
    found.store('pfn0.0', 'uuid', uuidNr(9));
    const before = found.show('namespace0.0', attribute);
    expect(code(() => found.store('namespace0.0', attribute, value))).toBe(result);
    if (result !== 'ok') expect(found.show('namespace0.0', attribute)).toBe(before);
  });

  it('of a size needs a UUID first', () => {
    expect(code(() => labelledRegion().store('namespace0.0', 'size', GIB))).toBe('ENXIO');
  });

  it('of a size needs every DIMM’s driver', () => {
    const found = labelledRegion({ ways: 2 });
    found.store('namespace0.0', 'uuid', uuidNr(1));
    found.nvdimms.bus.unbind('nmem1', 'nvdimm');
    expect(code(() => found.store('namespace0.0', 'size', GIB))).toBe('ENXIO');
    expect(found.show('region0', 'max_available_extent')).toBe('0');
  });

  it.each(['size', 'uuid', 'alt_name', 'sector_size', 'holder_class'])('of its %s is refused while a driver or a claim has it', (attribute) => {
    const value = { size: 0, uuid: uuidNr(5), alt_name: 'x', sector_size: 512, holder_class: '' }[attribute]!;
    const found = withDriver();
    make(found, 'namespace0.0', 1, 256 * MIB);
    found.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    expect(code(() => found.store('namespace0.0', attribute, value))).toBe('EBUSY');
    found.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    found.store('pfn0.0', 'namespace', 'namespace0.0');
    expect(code(() => found.store('namespace0.0', attribute, value))).toBe('EBUSY');
    found.store('pfn0.0', 'namespace', '');
    expect(code(() => found.store('namespace0.0', attribute, value))).toBe('ok');
  });

  it('without labels is kept, though it is written nowhere', () => {
    const found = labelledRegion({ labelSize: 0 });
    found.store('namespace0.0', 'holder_class', 'pfn');
    expect([found.show('namespace0.0', 'holder_class'), found.show('region0', 'nstype')]).toEqual(['pfn', '4']);
  });
});

describe('namespaces of a labelled region', () => {
  it('take the first gap that is large enough, and give it back', () => {
    const found = withDriver();
    make(found, 'namespace0.0', 0, 256 * MIB);
    found.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    for (const nr of [1, 2]) {
      make(found, `namespace0.${nr}`, nr, 256 * MIB);
      found.nvdimms.bus.bind(`namespace0.${nr}`, 'nd_pmem');
    }
    found.nvdimms.bus.unbind('namespace0.1', 'nd_pmem');
    found.store('namespace0.1', 'size', 0);
    expect(found.names().filter((name) => name.startsWith('namespace'))).toEqual(['namespace0.0', 'namespace0.2', 'namespace0.3']);
    expect([found.show('region0', 'available_size'), found.show('region0', 'max_available_extent')]).toEqual([`${512 * MIB}`, `${256 * MIB}`]);
    make(found, 'namespace0.3', 3, 128 * MIB);
    expect(labelsOf(found).sort()).toEqual([[uuidNr(0), 0, 256], [uuidNr(2), 512, 256], [uuidNr(3), 256, 128]]);
    // The seed has come up: the next takes the number that is free.
    found.nvdimms.bus.bind('namespace0.3', 'nd_pmem');
    expect(found.show('region0', 'namespace_seed')).toBe('namespace0.1');
  });

  it('grow where they are, or not at all', () => {
    const found = withDriver();
    make(found, 'namespace0.0', 0, 256 * MIB);
    found.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    make(found, 'namespace0.1', 1, 256 * MIB);
    found.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    expect(code(() => found.store('namespace0.0', 'size', 512 * MIB))).toBe('ENXIO');
    expect(labelsOf(found)).toContainEqual([uuidNr(0), 0, 256]);
    found.store('namespace0.1', 'size', 512 * MIB);
    found.store('namespace0.0', 'size', 128 * MIB);
    expect(labelsOf(found).sort()).toEqual([[uuidNr(0), 0, 128], [uuidNr(1), 256, 512]]);
    expect(found.show('namespace0.1', 'resource')).toBe('0x110000000');
  });

  it('lie on every DIMM of the set, at the same place', () => {
    const found = labelledRegion({ ways: 2, labelSize: 256 });
    make(found, 'namespace0.0', 7, 512 * MIB);
    expect([labelsOf(found, 0), labelsOf(found, 1)]).toEqual([[[uuidNr(7), 0, 256]], [[uuidNr(7), 0, 256]]]);
    expect([found.show('namespace0.0', 'dpa_extents'), found.show('region0', 'available_size')]).toEqual(['2', `${1536 * MIB}`]);
    found.store('namespace0.0', 'holder_class', 'btt');
    found.again();
    expect([found.show('namespace0.0', 'size'), found.show('namespace0.0', 'holder_class'), found.region.namespaces[0]!.claimClass]).toEqual([`${512 * MIB}`, 'btt', 'btt2']);
  });

  it('are found again as they were left, numbered by address', () => {
    const found = withDriver();
    for (const nr of [0, 1, 2]) {
      make(found, `namespace0.${nr}`, nr, 256 * MIB);
      found.store(`namespace0.${nr}`, 'alt_name', `name ${nr}`);
      found.store(`namespace0.${nr}`, 'sector_size', 4096);
      found.nvdimms.bus.bind(`namespace0.${nr}`, 'nd_pmem');
    }
    found.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    found.store('namespace0.0', 'size', 0);
    found.again();
    const rows = found.region.namespaces.map(({ name, uuid, altName, sectorSize, sizeBytes }) => [name, uuid, altName, sectorSize, sizeBytes / MIB]);
    expect(rows).toEqual([
      ['namespace0.0', uuidNr(1), 'name 1', 4096, 256], ['namespace0.1', uuidNr(2), 'name 2', 4096, 256], ['namespace0.2', undefined, '', 512, 0],
    ]);
    expect(found.show('region0', 'init_namespaces')).toBe('2/2');
  });

  it('hold what their labels say after any stores, and labels never overlap', () => {
    const step = fc.record({ ns: fc.nat({ max: 4 }), size: fc.nat({ max: 20 }), bind: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const found = withDriver({ perDimm: 256 * MIB });
        let nr = 0;
        for (const { ns, size, bind } of steps) {
          const name = found.region.namespaces[ns % found.region.namespaces.length]!.name;
          code(() => found.nvdimms.bus.unbind(name, 'nd_pmem'));
          if (found.show(name, 'uuid') === '') found.store(name, 'uuid', uuidNr(++nr));
          code(() => found.store(name, 'size', size * 16 * MIB));
          if (bind) code(() => found.nvdimms.bus.bind(name, 'nd_pmem'));
        }
        const shown = (): unknown[] => found.region.namespaces.filter(({ sizeBytes }) => sizeBytes > 0).map(({ uuid, start, sizeBytes }) => [uuid, start, sizeBytes]).sort();
        const before = shown();
        const used = found.region.namespaces.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        expect(found.show('region0', 'available_size')).toBe(`${256 * MIB - used}`);
        found.again();
        expect(shown()).toEqual(before);
        found.nvdimms.bus.unbind('region0', 'nd_region');
        found.nvdimms.bus.unbind('nmem0', 'nvdimm');
        // Overlapping labels would be refused here.
        found.nvdimms.bus.bind('nmem0', 'nvdimm');
      }),
      { numRuns: 60 },
    );
  });
});

describe('labels that a region finds', () => {
  /** Two DIMMs with a namespace on both; then something happens to the areas. */
  function damaged(change: (areas: LabelledRegion['areas']) => void): LabelledRegion {
    const first = labelledRegion({ ways: 2 });
    make(first, 'namespace0.0', 1, 512 * MIB);
    change(first.areas);
    return labelledRegion({ areas: first.areas });
  }

  it('make the namespace', () => expect(damaged(() => {}).show('namespace0.0', 'size')).toBe(`${512 * MIB}`));

  it('on only one DIMM of the set make nothing, and the region is not enabled', () => {
    const { log, region, nvdimms } = damaged(([, second]) => second!.write(0, labelledRegion().areas[0]!.read(0, 1024)));
    expect(log).toEqual([`nd_region region0: nmem1 missing label for ${uuidNr(1)}`]);
    expect([region.namespaces, nvdimms.bus.driverOf(region)]).toEqual([[], undefined]);
    expect((nvdimms.bus.findDevice('nmem0') as Nvdimm).nrUsers).toBe(0);
  });

  it('of another set are left out', () => {
    const other = labelledRegion({ ways: 1 });
    make(other, 'namespace0.0', 1, 512 * MIB);
    // The same DIMM as half of a set has another cookie.
    const found = labelledRegion({ areas: [other.areas[0]!, labelledRegion().areas[0]!] });
    expect([found.log, found.show('namespace0.0', 'size'), found.show('namespace0.0', 'uuid')]).toEqual([[], '0', '']);
  });

  it('that claim the same bytes keep the DIMM from coming up', () => {
    const first = withDriver();
    make(first, 'namespace0.0', 1, 256 * MIB);
    first.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    make(first, 'namespace0.1', 2, 256 * MIB);
    const area = first.areas[0]!;
    const labels = openLabelArea(area)!;
    const { slot } = activeLabels(labels).find(({ dpa }) => dpa > 0)!;
    // v1.1 labels have no checksum: this one moves to the first one's place.
    area.write(slotOffset(labels.geometry, slot) + DPA_OFFSET, new Uint8Array(8));
    const { log, nvdimms } = labelledRegion({ areas: [area] });
    expect(log).toEqual(['nvdimm: probe of nmem0 failed with error -16']);
    expect((nvdimms.bus.findDevice('nmem0') as Nvdimm).labels).toBeUndefined();
  });

  it.each([128, 1024, 16 * KIB])('in %d bytes of noise are none', (size) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
        const area = createConfigArea(size);
        area.write(0, bytes);
        const found = labelledRegion({ areas: [area] });
        expect(found.show('region0', 'nstype')).toBe('4');
        expect(area.read(0, size)).toEqual(bytes);
      }),
      { numRuns: 10 },
    );
  });

  it('with any byte of them changed crash nothing and are not written to', () => {
    const first = labelledRegion({ areaSize: 4 * KIB });
    make(first, 'namespace0.0', 1, 256 * MIB);
    const whole = first.areas[0]!.read(0, 4 * KIB);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 1023 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }), (changes) => {
        const area = createConfigArea(4 * KIB);
        const bytes = whole.slice();
        for (const [at, value] of changes) bytes[at] = value;
        area.write(0, bytes);
        labelledRegion({ areas: [area] });
        expect(area.read(0, 4 * KIB)).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a DIMM', () => {
  it('lets its labels be written only while no region goes by them', () => {
    const found = labelledRegion();
    const dimm = found.nvdimms.bus.findDevice('nmem0') as Nvdimm;
    const area = openConfigArea(dimm);
    expect([found.show('nmem0', 'state'), code(() => area.write(0, new Uint8Array(8)))]).toEqual(['active', 'EBUSY']);
    found.nvdimms.bus.unbind('region0', 'nd_region');
    expect([found.show('nmem0', 'state'), code(() => area.write(0, new Uint8Array(8)))]).toEqual(['idle', 'ok']);
    expect([code(() => area.read(128 * KIB - 1, 2)), code(() => area.write(128 * KIB, new Uint8Array(1)))]).toEqual(['EINVAL', 'EINVAL']);
  });

  it('whose labels were seen is needed by its region from then on', () => {
    const found = labelledRegion();
    found.nvdimms.bus.unbind('region0', 'nd_region');
    expect(code(() => found.show('region0', 'init_namespaces'))).toBe('ENXIO');
    found.nvdimms.bus.unbind('nmem0', 'nvdimm');
    expect(code(() => found.show('nmem0', 'available_slots'))).toBe('ENXIO');
    expect(code(() => found.nvdimms.bus.bind('region0', 'nd_region'))).toBe('ENXIO');
    expect(found.log).toEqual(['nd_region region0: nmem0: is disabled, failing probe']);
    // Zeroed labels do not make the region one piece again before the next boot.
    openConfigArea(found.nvdimms.bus.findDevice('nmem0') as Nvdimm).write(0, new Uint8Array(1024));
    found.nvdimms.bus.bind('nmem0', 'nvdimm');
    found.nvdimms.bus.bind('region0', 'nd_region');
    expect([found.show('region0', 'nstype'), found.show('namespace0.0', 'size')]).toEqual(['5', '0']);
  });

  it('without a label area has no way to one', () => {
    const { nvdimms } = labelledRegion({ areas: [] });
    const dimm = nvdimms.registerDimm(nvdimms.bus.devices[0] as never, { notArmed: false, hasFlushHints: false, commands: [] });
    expect(code(() => openConfigArea(dimm))).toBe('ENOTTY');
  });
});
