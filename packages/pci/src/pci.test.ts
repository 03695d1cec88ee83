/**
 * PCI against what a Linux 6.1 logs and shows for such devices, and against hardware that answers nonsense.
 */
import fc from 'fast-check';
import { GIB, KernelError, MIB, createIomem, createResource, formatIomem, insertResource, physAddr, releaseResource, walkResources } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import { createMachine, createPciMemory } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { createPciFunction } from './pci-card.js';
import type { PciBarSpec, PciFunction } from './pci-card.js';
import { createPci } from './pci-bus.js';
import type { Pci } from './pci-bus.js';
import { createPciHost } from './pci-host.js';
import type { PciBridge, PciHost } from './pci-host.js';
import { pciResourceLen, pciResourceStart } from './pci-device.js';
import type { PciDevice } from './pci-device.js';
import { pciDisableDevice, pciEnableDevice, pciIomap, pciRequestRegion, pciSetMaster } from './enable.js';

const LOW = { start: 0xc0000000, end: 0xfebfffff };
const HIGH = { start: 0x380000000000, end: 0x3fffffffffff };

interface SetUp {
  readonly log: string[];
  readonly iomem: Resource;
  readonly windows: Resource[];
  readonly pci: Pci;
}

function setUpBridge(bridge: PciBridge, ranges = [LOW, HIGH]): SetUp {
  const log: string[] = [];
  const iomem = createIomem();
  const windows = ranges.map((range) => createResource({ name: 'PCI Bus 0000:00', ...range }));
  for (const window of windows) insertResource(iomem, window);
  return { log, iomem, windows, pci: createPci({ bridge, printk: (text) => void log.push(text) }) };
}

function scanned(setUp: SetUp): SetUp {
  setUp.pci.scan(setUp.windows);
  setUp.pci.claimResources();
  setUp.pci.assignResources();
  return setUp;
}

const WORD: PciBarSpec['registers'] = { read: () => 0x12345678, write: () => {} };
const registers = (sizeBytes = 4096): PciBarSpec => ({ width: 32, sizeBytes, registers: WORD });

function card(bars: Record<number, PciBarSpec> = {}): PciFunction {
  return createPciFunction({ vendor: 0x1af4, device: 0x1110, classCode: 0x050000, express: true, bars });
}

function hostWith(...cards: PciFunction[]): { host: PciHost; machine: ReturnType<typeof createMachine> } {
  const machine = createMachine();
  const host = createPciHost(machine);
  for (const each of cards) host.plug(each);
  return { host, machine };
}

const memoryCard = (sizeBytes: number): PciFunction => card({ 0: registers(), 2: { width: 64, prefetchable: true, medium: createPciMemory({ sizeBytes }) } });
const only = ({ pci }: SetUp): PciDevice => pci.bus.devices[0]!;
const errno = (code: string): unknown => expect.objectContaining({ code });

describe('enumeration', () => {
  it('logs and places a card as Linux does one that was plugged', () => {
    const { log, iomem } = scanned(setUpBridge(hostWith(memoryCard(GIB)).host));
    expect(log).toEqual([
      'PCI host bridge to bus 0000:00',
      'pci_bus 0000:00: root bus resource [io  0x0000-0x0cf7 window]',
      'pci_bus 0000:00: root bus resource [io  0x0d00-0xffff window]',
      'pci_bus 0000:00: root bus resource [mem 0xc0000000-0xfebfffff window]',
      'pci_bus 0000:00: root bus resource [mem 0x380000000000-0x3fffffffffff window]',
      'pci_bus 0000:00: root bus resource [bus 00-ff]',
      'pci 0000:00:04.0: [1af4:1110] type 00 class 0x050000',
      'pci 0000:00:04.0: reg 0x10: [mem 0x00000000-0x00000fff]',
      'pci 0000:00:04.0: reg 0x18: [mem 0x00000000-0x3fffffff 64bit pref]',
      'pci 0000:00:04.0: BAR 2: assigned [mem 0x380000000000-0x38003fffffff 64bit pref]',
      'pci 0000:00:04.0: BAR 0: assigned [mem 0xc0000000-0xc0000fff]',
      'pci_bus 0000:00: resource 4 [io  0x0000-0x0cf7 window]',
      'pci_bus 0000:00: resource 5 [io  0x0d00-0xffff window]',
      'pci_bus 0000:00: resource 6 [mem 0xc0000000-0xfebfffff window]',
      'pci_bus 0000:00: resource 7 [mem 0x380000000000-0x3fffffffffff window]',
    ]);
    expect(formatIomem(iomem)).toContain('380000000000-3fffffffffff : PCI Bus 0000:00\n  380000000000-38003fffffff : 0000:00:04.0\n');
  });

  it('keeps what firmware assigned, and moves what lies outside of all windows', () => {
    const { host } = hostWith(memoryCard(GIB), memoryCard(GIB));
    host.write(4 * 8, 0x18, 4, 0x80000000 + 0xc);
    host.write(4 * 8, 0x1c, 4, 0x3801);
    host.write(5 * 8, 0x18, 4, 0x40000000 + 0xc);
    const { pci, log } = scanned(setUpBridge(host));
    expect(pci.bus.devices.map((device) => pciResourceStart(device, 2))).toEqual([0x380180000000, 0x380000000000]);
    expect(log).toContain("pci 0000:00:05.0: can't claim BAR 2 [mem 0x40000000-0x7fffffff 64bit pref]: no compatible bridge window");
  });

  it('says so where there is no room', () => {
    const { log, pci } = scanned(setUpBridge(hostWith(memoryCard(8 * GIB)).host, [LOW]));
    expect(log).toContain('pci 0000:00:04.0: BAR 2: no space for [mem size 0x200000000 64bit pref]');
    expect(log).toContain('pci 0000:00:04.0: BAR 2: failed to assign [mem size 0x200000000 64bit pref]');
    const device = pci.bus.devices[0]!;
    expect(() => pciEnableDevice(device, pci.say(device))).toThrow(errno('EINVAL'));
    expect(log.at(-1)).toBe("pci 0000:00:04.0: can't enable device: BAR 2 [mem size 0x200000000 64bit pref] not assigned");
  });

  it('reads what a function is, and shows it', () => {
    const setUp = scanned(setUpBridge(hostWith(memoryCard(GIB)).host));
    const shown = Object.fromEntries(only(setUp).attributes().filter(({ show }) => show).map(({ name, show }) => [name, show!().trimEnd()]));
    expect(shown).toMatchObject({ vendor: '0x1af4', device: '0x1110', class: '0x050000', enable: '0', modalias: 'pci:v00001AF4d00001110sv00001AF4sd00001110bc05sc00i00' });
    expect(shown['resource']!.split('\n')).toHaveLength(13);
    expect(shown['resource']!.split('\n')[2]).toBe('0x0000380000000000 0x000038003fffffff 0x000000000014220c');
    expect(only(setUp).configSize).toBe(4096);
  });
});

describe('a device that goes and comes', () => {
  it('leaves no resource behind by sysfs remove, and is found again by rescan', () => {
    const setUp = scanned(setUpBridge(hostWith(memoryCard(GIB)).host));
    const { pci, iomem } = setUp;
    const before = formatIomem(iomem);
    only(setUp).attributes().find(({ name }) => name === 'remove')!.store!('1\n');
    expect(pci.bus.devices).toEqual([]);
    expect([...walkResources(iomem)]).toHaveLength(2);
    pci.busAttributes[0]!.store!('1');
    expect(formatIomem(iomem)).toBe(before);
  });

  it('reads as ones once its card is pulled', () => {
    const { host, machine } = hostWith(memoryCard(GIB));
    const setUp = scanned(setUpBridge(host));
    const device = only(setUp);
    pciEnableDevice(device, () => {});
    const map = pciIomap(device, 0, host);
    expect(map.read(8)).toBe(0x12345678);
    const at = pciResourceStart(device, 2);
    expect(machine.mediumAt(physAddr(at))?.kind).toBe('pci');
    host.unplug(4);
    expect(map.read(8)).toBe(0xffffffff);
    expect(machine.mediumAt(physAddr(at))).toBeUndefined();
    setUp.pci.surpriseRemoved(4);
    expect(setUp.pci.bus.devices).toEqual([]);
    expect(() => pciEnableDevice(device, () => {})).toThrow(errno('ENODEV'));
  });

  it('decodes nothing after a reset', () => {
    const { host, machine } = hostWith(memoryCard(MIB));
    const setUp = scanned(setUpBridge(host));
    pciEnableDevice(only(setUp), () => {});
    host.reset();
    expect(machine.mediumAt(physAddr(HIGH.start))).toBeUndefined();
  });
});

describe('a driver', () => {
  it('takes the functions of its table, and those it is told of', () => {
    const setUp = scanned(setUpBridge(hostWith(memoryCard(MIB)).host));
    const bound: string[] = [];
    setUp.pci.registerDriver({ name: 'drv', idTable: [{ vendor: 1, device: 2 }], probe: ({ name }) => {
      bound.push(name);
      return () => bound.pop();
    } });
    const store = (name: string, text: string): void => setUp.pci.bus.drivers[0]!.attributes!().find((each) => each.name === name)!.store!(text);
    expect(bound).toEqual([]);
    expect(() => store('new_id', 'word')).toThrow(errno('EINVAL'));
    expect(() => store('remove_id', '1af4 1110')).toThrow(errno('ENODEV'));
    store('new_id', '1af4 1110\n');
    expect(bound).toEqual(['0000:00:04.0']);
    expect(() => store('new_id', '1af4 1110')).toThrow(errno('EEXIST'));
  });

  it('enables, claims and gives back', () => {
    const setUp = scanned(setUpBridge(hostWith(memoryCard(MIB)).host));
    const { log, pci, iomem } = setUp;
    const device = only(setUp);
    const say = pci.say(device);
    pciEnableDevice(device, say);
    pciEnableDevice(device, say);
    expect(log.filter((line) => line.includes('enabling'))).toEqual(['pci 0000:00:04.0: enabling device (0000 -> 0002)']);
    const region = pciRequestRegion(device, 2, 'drv', say);
    expect(() => pciRequestRegion(device, 2, 'other', say)).toThrow(errno('EBUSY'));
    expect(log.at(-1)).toBe("pci 0000:00:04.0: BAR 2: can't reserve [mem 0x380000000000-0x3800000fffff 64bit pref]");
    expect(formatIomem(iomem)).toContain('    380000000000-3800000fffff : drv\n');
    releaseResource(region);
    pciSetMaster(device);
    expect(device.config.read(4, 2)).toBe(6);
    pciDisableDevice(device);
    expect(device.config.read(4, 2)).toBe(6);
    pciDisableDevice(device);
    expect(device.config.read(4, 2)).toBe(2);
  });
});

it.each([
  ['size', { 0: { width: 32, sizeBytes: 3000, registers: WORD } }],
  ['number', { 6: registers() }],
  ['upper half', { 5: { width: 64, sizeBytes: 4096, registers: WORD } }],
  ['neighbour', { 0: { width: 64, sizeBytes: 4096, registers: WORD }, 1: registers() }],
  ['content', { 0: { width: 32, sizeBytes: 4096 } }],
] as [string, Record<number, PciBarSpec>][])('no card is made with a wrong %s', (_, bars) => {
  expect(() => card(bars)).toThrow(KernelError);
});

/** Every BAR that has a place: aligned, in a window, and nobody else's. */
function checkPlaces({ pci, windows }: SetUp): void {
  const places = pci.bus.devices.flatMap(({ bars }) => bars.filter(({ resource, kind }) => resource && kind === 'mem').map((bar) => ({ start: bar.start!, end: bar.start! + bar.sizeBytes, is64: bar.is64 })));
  places.sort((a, b) => a.start - b.start);
  for (const [i, { start, end, is64 }] of places.entries()) {
    expect(start % (end - start)).toBe(0);
    expect(windows.some((window) => window.start <= start && end - 1 <= window.end)).toBe(true);
    if (!is64) expect(end).toBeLessThanOrEqual(2 ** 32);
    if (i > 0) expect(places[i - 1]!.end).toBeLessThanOrEqual(start);
  }
}

it('sizes every BAR right and places them aligned and apart, whatever comes and goes', () => {
  const bar = fc.record({ width: fc.constantFrom(32 as const, 64 as const), order: fc.integer({ min: 4, max: 21 }), prefetchable: fc.boolean(), huge: fc.integer({ min: 0, max: 22 }) });
  const step = fc.record({ slot: fc.integer({ min: 1, max: 12 }), bars: fc.array(bar, { minLength: 1, maxLength: 3 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 24 }), (steps) => {
    const { host } = hostWith();
    const setUp = scanned(setUpBridge(host));
    for (const { slot, bars } of steps) {
      if (host.slots.includes(slot)) {
        host.unplug(slot);
        setUp.pci.surpriseRemoved(slot);
        continue;
      }
      const specs = bars.map(({ width, order, prefetchable, huge }, i): [number, PciBarSpec] => [2 * i, width === 64 && huge > 0
        ? { width, prefetchable, medium: createPciMemory({ sizeBytes: 2 ** (order + huge) }) }
        : { width, prefetchable, sizeBytes: 2 ** order, registers: WORD }]);
      host.plug(card(Object.fromEntries(specs)), slot);
      setUp.pci.rescan();
      const device = setUp.pci.bus.devices.at(-1)!;
      for (const [index, { sizeBytes, medium }] of specs) expect(pciResourceLen(device, index)).toBe(sizeBytes ?? medium!.sizeBytes);
      checkPlaces(setUp);
    }
    for (const slot of host.slots) setUp.pci.ejectRequested(slot);
    expect([...walkResources(setUp.iomem)]).toHaveLength(setUp.windows.length);
  }), { numRuns: 60 });
});

it('survives hardware that answers anything', () => {
  fc.assert(fc.property(fc.infiniteStream(fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 0xffffffff, 4, 0x0c, 0x06040000, 0x05000000))), fc.boolean(), (answers, remembers) => {
    const cells = new Map<number, number>();
    const answer = (): number => Number(answers.next().value);
    const bridge: PciBridge = {
      read(devfn, offset, size) {
        const key = devfn * 4096 + offset;
        const value = (remembers ? cells.get(key) : undefined) ?? answer();
        if (remembers) cells.set(key, value);
        return value % 2 ** (8 * size);
      },
      write(devfn, offset, _size, value) {
        if (remembers && answer() % 2 === 0) cells.set(devfn * 4096 + offset, value);
      },
      readRegister: () => 0,
      writeRegister: () => {},
      connectIrq: () => {},
    };
    const setUp = scanned(setUpBridge(bridge));
    checkPlaces(setUp);
    for (const device of setUp.pci.bus.devices) for (const { show } of device.attributes()) show?.();
    for (const device of [...setUp.pci.bus.devices]) setUp.pci.remove(device);
    expect([...walkResources(setUp.iomem)]).toHaveLength(setUp.windows.length);
  }), { numRuns: 40 });
});
