/** The monitor of the machine: where DIMMs go, and what the kernel makes of them. */
import { DEFAULT_RELEASE, GIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { buildMachine } from '../src/build-machine.js';
import { planMachine } from '../src/machine-plan.js';
import { pcMap } from '../src/pc-map.js';
import { createCommandRunner } from '../src/run-commands.js';
import type { DimmPlan } from '../src/host/slot-layout.js';
import { parseMemoryDevices } from '../src/memory-devices.js';
import { createSystem } from '../src/system.js';

async function bootPc(memoryBytes: number, cmdline = 'memhp_default_state=online_movable', pmem: number[] = [], dimms: DimmPlan[] = [], takesMemory = true) {
  const firmware = { e820: pcMap(memoryBytes, pmem), takesMemory };
  const { machine } = await buildMachine(planMachine({ firmware, cmdline, release: DEFAULT_RELEASE }));
  const system = createSystem({ machine, firmware, cmdline, dimms, release: DEFAULT_RELEASE });
  const runner = createCommandRunner(system);
  const run = async (line: string): Promise<string> => {
    await runner.run(line);
    const record = runner.records.at(-1) as { rc: number; stdout: string; stderr: string[] };
    return record.rc === 0 ? record.stdout : record.stderr.join('\n');
  };
  const plug = async (id: string, size: string, more = ''): Promise<string> => {
    await run(`host monitor object_add memory-backend-ram,id=m${id},size=${size}`);
    return run(`host monitor device_add pc-dimm,id=${id},memdev=m${id}${more}`);
  };
  const ram = async (): Promise<string[]> => (await run('grep RAM /proc/iomem')).split('\n').filter((line) => /^1/.test(line));
  return { run, plug, ram, system, machine };
}

describe('a DIMM', () => {
  it('goes behind all memory, at a multiple of 1 GiB, and the next right behind it', async () => {
    const { plug, ram } = await bootPc(4.5 * GIB);
    await plug('a', '256M');
    await plug('b', '128M');
    expect(await ram()).toEqual(['100000000-15fffffff : System RAM', '180000000-18fffffff : System RAM', '190000000-197ffffff : System RAM']);
  });

  it('takes the lowest gap that is large enough, and never the place of pmem', async () => {
    const { plug, run, ram } = await bootPc(GIB, 'memhp_default_state=online_movable', [GIB]);
    for (const id of ['a', 'b']) await plug(id, '256M');
    await run('host monitor device_del a');
    await plug('c', '512M');
    await plug('d', '128M');
    expect(await ram()).toEqual(['140000000-147ffffff : System RAM', '150000000-15fffffff : System RAM', '160000000-17fffffff : System RAM']);
    expect(await run('host monitor info memory-devices')).toMatch(/addr: 0x140000000\n {2}slot: 2\n/);
  });

  it('goes behind what the PCI host bridge decodes on a machine that has no slots', async () => {
    const { plug, run } = await bootPc(GIB, 'memhp_default_state=online_movable', [], [], false);
    await plug('a', '256M');
    expect((await run('grep "^[12]" /proc/iomem')).split('\n')).toEqual(['100000000-17fffffff : PCI Bus 0000:00', '180000000-18fffffff : System RAM']);
  });

  it('is there at the next boot, and gone when it was pulled', async () => {
    const { plug, run, ram, machine } = await bootPc(GIB);
    await plug('a', '256M');
    await run('reboot');
    expect(await ram()).toEqual(['100000000-10fffffff : System RAM']);
    expect(await run('host monitor device_del a')).toBe('ok');
    expect([await ram(), machine.mediumAt(4 * GIB as never)]).toEqual([[], undefined]);
  });

  it('stays if the kernel keeps it, and the monitor does not say', async () => {
    const { plug, run, ram } = await bootPc(GIB, 'memhp_default_state=online');
    await plug('a', '256M');
    expect(await run('host monitor device_del a')).toBe('ok');
    expect(await ram()).toHaveLength(1);
    expect(await run('dmesg | tail -n 1')).toContain('memory memory32: Offline failed.');
  });
});

describe('a DIMM that is there when the machine is switched on', () => {
  const dimms = parseMemoryDevices([{ id: 'a', memdev: 'm', size: 2 ** 28, addr: 2 ** 32 + 2 ** 28 }, { id: 'b', memdev: 'n', size: 2 ** 27, node: 0 }], 'x');

  it('is memory from the first boot on, ahead of the rows of the map', async () => {
    const { run, ram, system } = await bootPc(GIB, undefined, [], dimms);
    expect(await ram()).toEqual(['100000000-107ffffff : System RAM', '110000000-11fffffff : System RAM']);
    expect(await run('cat /sys/firmware/memmap/0/start /sys/firmware/memmap/1/start /sys/firmware/memmap/2/start')).toBe('0x110000000\n0x100000000\n0x0');
    expect(await run('host monitor info memory-devices')).toMatch(/"b"\n {2}addr: 0x100000000\n {2}slot: 1[^]*hotplugged: false/);
    await run('host monitor device_del a');
    system.reboot();
    expect(await ram()).toEqual(['100000000-107ffffff : System RAM']);
  });

  it('leaves the machine with its system', async () => {
    const { system, machine } = await bootPc(GIB, undefined, [], dimms);
    system.close();
    const next = createSystem({ machine, firmware: { e820: pcMap(GIB), takesMemory: true }, cmdline: '', dimms, release: DEFAULT_RELEASE });
    expect(next.monitor.memoryDevices()).toHaveLength(2);
  });

  it.each([
    ['no list', {}, /in a list$/],
    ['no size', [{ id: 'a', memdev: 'm' }], /entry 0: size is undefined/],
    ['a name that no command line takes', [{ id: 'a b', memdev: 'm', size: 1 }], /entry 0: id is "a b"/],
    ['a node below 0', [{ id: 'a', memdev: 'm', size: 1, node: -1 }], /node is -1/],
    ['an id twice', [{ id: 'a', memdev: 'm', size: 1 }, { id: 'a', memdev: 'n', size: 1 }], /id "a" is given twice/],
    ['memory twice', [{ id: 'a', memdev: 'm', size: 1 }, { id: 'b', memdev: 'm', size: 1 }], /memdev "m" is given twice/],
    ['nothing', [null], /id is undefined/],
  ])('is described without %s', (_what, value, message) => {
    expect(() => parseMemoryDevices(value, 'memory-devices.json')).toThrow(message);
  });
});

describe('the monitor refuses', () => {
  it.each([
    ['object_add memory-backend-ram,id=x', "Parameter 'size' is missing"],
    ['object_add memory-backend-ram,id=x,size=much', "Parameter 'size' expects a size above 0, such as 512M, not 'much'"],
    ['object_add memory-backend-ram,id=ma,size=1G', "attempt to add duplicate property 'ma' to object (type 'container')"],
    ['object_del ma', "object 'ma' is in use, can not be deleted"],
    ['device_add pc-dimm,id=a,memdev=spare', "Duplicate device ID 'a'"],
    ['device_add pc-dimm,id=b,memdev=ma', "can't use already busy memdev: ma"],
    ['device_add pc-dimm,id=b,memdev=none', "Device 'none' not found"],
    ['device_add pc-dimm,id=b,memdev=odd', 'backend memory size must be multiple of 0x200000'],
    ['device_add pc-dimm,id=b,memdev=spare,addr=0x100000000', 'address range conflicts with memory device at 0x100000000'],
    ['device_add nvdimm,id=b,memdev=spare', "'nvdimm' is not a valid device model name"],
    ['device_del b', "Device 'b' not found"],
    ['migrate tcp:x', "unknown command: 'migrate'; this monitor knows object_add, object_del, device_add, device_del, qom-set, info memory-devices"],
  ])('%s: %s', async (line, message) => {
    const { plug, run } = await bootPc(GIB);
    await plug('a', '128M');
    await run('host monitor object_add memory-backend-ram,id=spare,size=128M');
    await run('host monitor object_add memory-backend-ram,id=odd,size=1M');
    expect(await run(`host monitor ${line}`)).toBe(`Error: ${message}`);
  });
});
