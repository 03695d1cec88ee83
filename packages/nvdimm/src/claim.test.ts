import { KernelError, MIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type LabelledRegion, labelledRegion } from '../test/labelled-region.js';

const UUID = '11111111-2222-4333-8444-555555555555';

/** A region with namespaces of 256 MiB, and of 0, and a driver that takes what has one, whichever format. */
function setUp(): LabelledRegion {
  const found = labelledRegion();
  found.nvdimms.registerDriver({
    name: 'nd_pmem',
    match: () => true,
    probe: (device) => {
      const ns = device.type === 'namespace' ? device : device.namespace;
      if (!ns || ns.sizeBytes === 0 || (device === ns && ns.claim)) throw new KernelError('ENODEV', 'not ready');
      return () => {};
    },
  });
  found.store('namespace0.0', 'uuid', '00000000-0000-4000-8000-000000000001');
  found.store('namespace0.0', 'size', 256 * MIB);
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

describe('an idle seed', () => {
  it.each<[device: string, attribute: string, value: string, result: string]>([
    ['pfn0.0', 'mode', 'pmem', 'ok'],
    ['pfn0.0', 'mode', 'dev', 'EINVAL'],
    ['pfn0.0', 'align', '1073741824', 'ok'],
    ['pfn0.0', 'align', '0x1000', 'ok'],
    ['dax0.0', 'align', '8192', 'EINVAL'],
    ['dax0.0', 'align', '2M', 'EINVAL'],
    ['btt0.0', 'sector_size', '520', 'ok'],
    ['btt0.0', 'sector_size', '1000', 'EINVAL'],
    ['btt0.0', 'uuid', UUID, 'ok'],
    ['btt0.0', 'uuid', 'none', 'EINVAL'],
    ['pfn0.0', 'namespace', 'namespace0.0', 'ok'],
    ['pfn0.0', 'namespace', 'namespace0.7', 'ENODEV'],
    ['pfn0.0', 'namespace', 'pmem0', 'EINVAL'],
    ['pfn0.0', 'namespace', '', 'ok'],
  ])('%s takes or refuses %s = %j: %4$s', (device, attribute, value, result) => {
    expect(code(() => setUp().store(device, attribute, value))).toBe(result);
  });

  it('shows what is chosen, and has no size or place yet', () => {
    const { show, store } = setUp();
    store('btt0.0', 'sector_size', 4096);
    expect(show('btt0.0', 'sector_size')).toBe('512 520 528 [4096] 4104 4160 4224 ');
    expect(['size', 'resource'].map((attribute) => code(() => show('pfn0.0', attribute)))).toEqual(['ENXIO', 'ENXIO']);
    expect(code(() => show('btt0.0', 'size'))).toBe('ENXIO');
  });

  it('takes no namespace that another holds, is to hold, or that is too small', () => {
    const { store } = setUp();
    store('namespace0.0', 'holder_class', 'dax');
    expect(code(() => store('pfn0.0', 'namespace', 'namespace0.0'))).toBe('EBUSY');
    store('dax0.0', 'namespace', 'namespace0.0');
    expect(code(() => store('dax0.0', 'namespace', 'namespace0.0'))).toBe('EBUSY');
    store('dax0.0', 'namespace', '');
    store('namespace0.0', 'holder_class', '');
    store('namespace0.0', 'size', 0);
    expect(code(() => store('pfn0.0', 'namespace', 'namespace0.0'))).toBe('ENXIO');
  });
});

describe('a seed that is used', () => {
  it('is followed by another, and holds its namespace', () => {
    const { nvdimms, show, store, names } = setUp();
    store('pfn0.0', 'uuid', UUID);
    store('pfn0.0', 'namespace', 'namespace0.0');
    expect([show('namespace0.0', 'holder'), show('namespace0.0', 'mode'), show('pfn0.0', 'namespace')]).toEqual(['pfn0.0', 'memory', 'namespace0.0']);
    nvdimms.bus.bind('pfn0.0', 'nd_pmem');
    expect([show('region0', 'pfn_seed'), show('region0', 'namespace_seed')]).toEqual(['pfn0.1', 'namespace0.1']);
    for (const attribute of ['uuid', 'mode', 'align', 'namespace']) expect(code(() => store('pfn0.0', attribute, ''))).toBe('EBUSY');
    expect(names()).toEqual(['btt0.0', 'dax0.0', 'namespace0.0', 'namespace0.1', 'pfn0.0', 'pfn0.1']);
  });

  it('goes away with its namespace, and leaves its number to the next', () => {
    const { nvdimms, show, store, names } = setUp();
    store('pfn0.0', 'namespace', 'namespace0.0');
    nvdimms.bus.bind('pfn0.0', 'nd_pmem');
    nvdimms.bus.unbind('pfn0.0', 'nd_pmem');
    store('pfn0.0', 'namespace', '');
    expect([names().filter((name) => name.startsWith('pfn')), show('namespace0.0', 'holder')]).toEqual([['pfn0.1'], '']);
    store('pfn0.1', 'namespace', 'namespace0.0');
    nvdimms.bus.bind('pfn0.1', 'nd_pmem');
    expect(show('region0', 'pfn_seed')).toBe('pfn0.0');
  });

  it('and given back before it came up stays the seed, and keeps nothing but its alignment', () => {
    const { show, store } = setUp();
    store('dax0.0', 'uuid', UUID);
    store('dax0.0', 'mode', 'ram');
    store('dax0.0', 'align', 4096);
    store('dax0.0', 'namespace', 'namespace0.0');
    store('dax0.0', 'namespace', '');
    expect([show('region0', 'dax_seed'), show('dax0.0', 'uuid'), show('dax0.0', 'mode'), show('dax0.0', 'align')]).toEqual(['dax0.0', '', 'none', '4096']);
  });

  it('leaves with its region, which begins anew', () => {
    const { nvdimms, again, names, store } = setUp();
    store('btt0.0', 'namespace', 'namespace0.0');
    nvdimms.bus.bind('btt0.0', 'nd_pmem');
    again();
    expect(names()).toEqual(['btt0.0', 'dax0.0', 'namespace0.0', 'namespace0.1', 'pfn0.0']);
  });
});
