import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GIB, KIB, MIB } from '@holdfast/lib';
import { initLabelArea, openLabelArea } from '@holdfast/nvdimm';
import { resolvePath } from '@holdfast/kernel';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootFromOptions } from '../src/boot-command.js';
import { labelledDimmFirmware } from '../src/labelled-dimms.js';
import type { System } from '../src/system.js';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'holdfast-dimms-'))));
afterEach(() => rmSync(dir, { recursive: true }));

/** The structures that QEMU 7.2 gave for `-device nvdimm,label-size=128K` over 256 MiB. */
const QEMU_NFIT = [
  '0000380002000300000000000000000079d3f066f3b47440ac430d3318b78cdb000000000100000000000010000000000880000000000000',
  '010030000100000000000000020003000000001000000000000000000000000000000000000000000000010000000000',
  `04005000030086800100010000000000000000000000000056341200010300${'0'.repeat(98)}`,
].join('');

function configArea(system: System) {
  const { node } = resolvePath(system.root, '/dev/nmem0');
  if (node.kind !== 'char') throw new Error('nmem0 is no character device');
  return node.openConfigArea!();
}

const unbind = (system: System, driver: string, device: string): void => {
  const { node } = resolvePath(system.root, `/sys/bus/nd/drivers/${driver}/unbind`);
  if (node.kind === 'file') node.write!(device);
};

describe('an NVDIMM with a label area', () => {
  it('is described as QEMU describes it', () => {
    const { nfit } = labelledDimmFirmware([{ start: 4 * GIB, sizeBytes: 256 * MIB, labelBytes: 128 * KIB }]);
    expect(Buffer.from(nfit.subarray(40)).toString('hex')).toBe(QEMU_NFIT);
  });

  it('keeps both in one image, labels last, over boots and machines', async () => {
    const image = join(dir, 'nv0');
    const options = { nvdimm: [`size=256M,label=128K,image=${image}`], memory: '1G' };
    const first = await bootFromOptions(options);
    unbind(first, 'nd_region', 'region0');
    initLabelArea(configArea(first), 128, 'ndctl');
    first.reboot();
    expect(openLabelArea(configArea(first))?.nrSlots).toBe(1020);
    first.close();
    expect(statSync(image).size).toBe(256 * MIB + 128 * KIB);
    expect(readFileSync(image).subarray(256 * MIB, 256 * MIB + 15).toString()).toBe('NAMESPACE_INDEX');
    const second = await bootFromOptions(options);
    expect(openLabelArea(configArea(second))?.nrSlots).toBe(1020);
    second.close();
  });

  it('stands beside legacy pmem', async () => {
    const system = await bootFromOptions({ nvdimm: ['size=64M', 'size=64M,label=128K', 'size=128M,label=256K'], memory: '1G' });
    const { node } = resolvePath(system.root, '/sys/bus/nd/devices');
    const names = node.kind === 'dir' ? [...node.list()].filter((name) => /^(ndbus|region|nmem)/.test(name)).sort() : [];
    expect(names).toEqual(['ndbus0', 'ndbus1', 'nmem0', 'nmem1', 'region0', 'region1', 'region2']);
    system.close();
  });
});
