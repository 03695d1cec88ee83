import { describe, expect, it } from 'vitest';
import { inReaddirOrder, kernfsNameHash } from './name-hash.js';

describe('the order of names in sysfs', () => {
  it.each([['region0', 0x3d39bbb2], ['region1', 0x77160c2a], ['region2', 0x30f25ca3], ['region3', 0x6acead1b]])('hashes %s as kernfs does', (name, hash) => {
    expect(kernfsNameHash(name)).toBe(hash);
  });

  it.each([
    ['regions', 'region1 region3 region0 region2'],
    ['namespaces', 'namespace0.2 namespace0.4 namespace0.1 namespace0.3 namespace0.0'],
    ['DIMMs', 'nmem1 nmem0 nmem2'],
    ['dax devices', 'dax0.4 dax0.1 dax0.3 dax0.5 dax0.0 dax0.2'],
  ])('lists %s as captured machines did, backwards', (_, listed) => {
    const names = listed.split(' ');
    expect(inReaddirOrder([...names].sort()).reverse()).toEqual(names);
  });
});
