import { MIB, NUMA_NO_NODE, nodeId } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { file, setUp } from '../test/small-machine.js';
import { createAcpiMemory } from './acpi-memory-device.js';

const TOP = 0x1_2000_0000;

function plugged(cmdline: string) {
  const machine = setUp({ cmdline });
  const { hotplug, log } = machine;
  const acpi = createAcpiMemory({ hotplug, pxmToNode: (pxm) => (pxm === 4 ? nodeId(1) : NUMA_NO_NODE), addressToNode: () => nodeId(0), printk: (line) => log.push(line) });
  const dimm = (sizeMib: number, start = TOP, pxm?: number) => ({ start, sizeBytes: sizeMib * MIB, pxm });
  const zones = (): string[] => [36, 37].map((nr) => (hotplug.blocks.has(nr) ? file(hotplug.blocks, nr, 'valid_zones').show!().trim() : 'gone'));
  return { ...machine, acpi, dimm, zones };
}

describe('a DIMM', () => {
  it('is memory of its domain’s node, or of the one that its address tells', () => {
    const { acpi, dimm, blocks } = plugged('');
    acpi.deviceAdded(dimm(128, TOP, 4));
    acpi.deviceAdded(dimm(128, TOP + 128 * MIB, 9));
    acpi.deviceAdded(dimm(128, TOP + 256 * MIB));
    expect([36, 37, 38].map((nr) => blocks.nodes(nr))).toEqual([[1], [0], [0]]);
  });

  it('that is not of whole blocks is refused; the devices are counted all the same', () => {
    const { acpi, dimm, log } = plugged('');
    for (const [size, start] of [[200, 0], [64, 200], [256, 264]] as const) acpi.deviceAdded(dimm(size, TOP + start * MIB));
    expect(log).toEqual([
      'Block size [0x8000000] unaligned hotplug range: start 0x120000000, size 0xc800000', 'acpi PNP0C80:00: add_memory failed', 'acpi PNP0C80:00: acpi_memory_enable_device() error',
      'Block size [0x8000000] unaligned hotplug range: start 0x12c800000, size 0x4000000', 'acpi PNP0C80:01: add_memory failed', 'acpi PNP0C80:01: acpi_memory_enable_device() error',
      'Block size [0x8000000] unaligned hotplug range: start 0x130800000, size 0x10000000', 'acpi PNP0C80:02: add_memory failed', 'acpi PNP0C80:02: acpi_memory_enable_device() error',
    ]);
    expect(acpi.ejectRequested(dimm(200))).toBe(true);
  });

  it('that is gone leaves its number to the next', () => {
    const { acpi, dimm, log } = plugged('');
    for (const start of [200, 520]) acpi.deviceAdded(dimm(64, TOP + start * MIB));
    acpi.ejectRequested(dimm(64, TOP + 200 * MIB));
    for (const start of [300, 400]) acpi.deviceAdded(dimm(64, TOP + start * MIB));
    expect(log.filter((line) => line.endsWith('add_memory failed')).map((line) => line.slice(13, 15))).toEqual(['00', '01', '00', '02']);
  });

  it('may be pulled when all of it went offline', () => {
    const { acpi, dimm, zones, log } = plugged('memhp_default_state=online_movable');
    acpi.deviceAdded(dimm(256));
    expect(zones()).toEqual(['Movable', 'Movable']);
    expect(acpi.ejectRequested(dimm(256))).toBe(true);
    expect([zones(), log]).toEqual([['gone', 'gone'], []]);
  });

  it('stays as it was when one block is in use', () => {
    const { acpi, dimm, zones, log, onliner } = plugged('memhp_default_state=online');
    acpi.deviceAdded(dimm(256));
    onliner.busy.add(37 * 32768 + 5);
    expect(acpi.ejectRequested(dimm(256))).toBe(false);
    expect([zones(), log]).toEqual([['Normal', 'Normal'], ['memory memory37: Offline failed.']]);
    expect(onliner.events.slice(-2)).toEqual(['- 1179648-1212416 Normal', '+ 1179648-1212416 Normal']);
  });

  it('may be pulled after a second pass, when a block that others depended on is gone', () => {
    const { acpi, dimm, zones, onliner } = plugged('memhp_default_state=online');
    acpi.deviceAdded(dimm(256));
    onliner.busy.add(36 * 32768);
    const { offlinePages } = onliner;
    onliner.offlinePages = (frames, zone) => {
      offlinePages(frames, zone);
      onliner.busy.clear();
    };
    expect(acpi.ejectRequested(dimm(256))).toBe(true);
    expect(zones()).toEqual(['gone', 'gone']);
  });
});
