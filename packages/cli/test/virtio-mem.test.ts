/** RAM that the host gives and takes: what the kernel shows of it, and what it keeps because somebody uses it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bootFromOptions, createCommandRunner } from '@holdfast/cli';

const MIB = 2 ** 20;

async function boot(virtioMem: string, cmdline = 'memhp_default_state=online_movable') {
  const system = await bootFromOptions({ memory: '1G', cmdline, virtioMem: [virtioMem] });
  const runner = createCommandRunner(system);
  const run = async (line: string): Promise<string> => {
    await runner.run(line);
    const { stdout, stderr } = runner.records.at(-1) as { stdout?: unknown; stderr?: readonly string[] };
    return [stdout, ...(stderr ?? [])].join('\n').trim();
  };
  const zone = async (name: string): Promise<number[]> => {
    const text = (await run('cat /proc/zoneinfo')).split(/\nNode /).find((part) => new RegExp(`zone +${name}\\n`).test(part)) ?? '';
    return ['spanned', 'present', 'managed'].map((field) => Number(new RegExp(`\\n +${field} +(\\d+)`).exec(text)?.[1]));
  };
  return { system, run, zone, log: () => system.log.lines.map(({ text }) => text).filter((text) => text.startsWith('virtio_mem')) };
}

it('lies behind the DIMMs that a firmware description has, in blocks of its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-virtio-mem-'));
  try {
    writeFileSync(join(folder, 'e820.txt'), 'BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable\n');
    writeFileSync(join(folder, 'memory-devices.json'), JSON.stringify([{ id: 'a', memdev: 'ma', size: 256 * MIB }, { id: 'b', memdev: 'mb', size: 130 * MIB }]));
    const system = await bootFromOptions({ firmware: folder, cmdline: '', virtioMem: ['size=1G,requested=512M,block=4M'] });
    expect(system.monitor.run('info memory-devices', system.kernel)).toContain('memaddr: 0x118400000\n');
    expect(system.monitor.memoryDevices().map(({ start }) => start)).toEqual([0x1_0000_0000, 0x1_1000_0000]);
    system.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('--virtio-mem in sub-blocks', () => {
  it('is plugged as far as is requested, in whole memory blocks of which only that is managed', async () => {
    const { run, zone, log } = await boot('size=1G,requested=200M');
    expect(await run('grep virtio /proc/iomem')).toBe('100000000-13fffffff : virtio0\n  100000000-10fffffff : System RAM (virtio_mem)');
    expect(await zone('Movable')).toEqual([65536, 65536, 200 * 256]);
    expect(log()).toEqual([
      'start address: 0x100000000', 'region size: 0x40000000', 'device block size: 0x200000', 'nid: 0', 'memory block size: 0x8000000', 'subblock size: 0x200000',
      'plugged size: 0x0', 'requested size: 0xc800000',
    ].map((text) => `virtio_mem virtio0: ${text}`));
  });

  it('hears of a request again that asks for the same, as QEMU tells it', async () => {
    const { run, log } = await boot('size=1G,requested=256M');
    await run('host monitor qom-set vm0 requested-size 256M');
    expect(log().slice(-2)).toEqual(['virtio_mem virtio0: plugged size: 0x10000000', 'virtio_mem virtio0: requested size: 0x10000000']);
  });

  it('fills the gaps first, and gives blocks back whole', async () => {
    const { run, zone } = await boot('size=1G,requested=200M');
    await run('host monitor qom-set vm0 requested-size 250M');
    expect(await zone('Movable')).toEqual([65536, 65536, 250 * 256]);
    await run('host monitor qom-set vm0 requested-size 64M');
    expect(await zone('Movable')).toEqual([32768, 32768, 64 * 256]);
    await run('host monitor qom-set vm0 requested-size 0');
    expect(await zone('Movable')).toEqual([0, 0, 0]);
    expect(await run('grep virtio /proc/iomem')).toBe('100000000-13fffffff : virtio0');
    expect(await run('host monitor info memory-devices')).toContain('  size: 0\n  max-size: 1073741824');
  });

  it('keeps what is in use, and gives the rest', async () => {
    const { run, zone } = await boot('size=1G,requested=256M', 'memhp_default_state=online_kernel');
    await run('host monitor qom-set vm0 requested-size 0');
    const [, present, managed] = await zone('Normal');
    expect(present).toBe(32768);
    expect(managed).toBeGreaterThan(0);
    expect(managed! % 512).toBe(0);
    expect(await run('host monitor info memory-devices')).toContain(`  size: ${managed! * 4096}\n`);
    expect(await run('echo offline > /sys/devices/system/memory/memory32/state')).toContain('Device or resource busy');
  });

  it('adds only so much as may be offline at a time, and goes on when that is online', async () => {
    const { run, system } = await boot('size=4G,requested=3G', '');
    const plugged = async (): Promise<number> => Number(/\n {2}size: (\d+)/.exec(await run('host monitor info memory-devices'))?.[1]) / MIB;
    expect(await plugged()).toBe(1024);
    for (const nr of [32, 33, 34, 35]) await run(`echo online_movable > /sys/devices/system/memory/memory${nr}/state`);
    expect(await plugged()).toBe(1536);
    await run('echo offline > /sys/devices/system/memory/memory32/state');
    expect(system.root).toBeDefined();
  });

  it('refuses what is no size of it', async () => {
    const { run } = await boot('size=1G,requested=200M');
    expect(await run('host monitor qom-set vm0 requested-size 201M')).toContain("'requested-size' has to be a multiple of 'block-size' (0x200000)");
    expect(await run('host monitor qom-set vm0 requested-size 2G')).toContain("'requested-size' cannot exceed the memory backend size (0x40000000)");
    expect(await run('host monitor qom-set vm1 requested-size 0')).toContain("Device 'vm1' not found");
  });

  it('starts anew at a reboot', async () => {
    const { run, zone } = await boot('size=1G,requested=256M');
    await run('reboot');
    expect(await zone('Movable')).toEqual([65536, 65536, 65536]);
  });
});

describe('--virtio-mem in big blocks', () => {
  it('is plugged and taken back in blocks of the device', async () => {
    const { run, zone, log } = await boot('size=2G,requested=512M,block=256M');
    expect(log()).toContain('virtio_mem virtio0: big block size: 0x10000000');
    expect(await zone('Movable')).toEqual([131072, 131072, 131072]);
    await run('host monitor qom-set vm0 requested-size 256M');
    expect(await zone('Movable')).toEqual([65536, 65536, 65536]);
    expect(await run('grep virtio_mem /proc/iomem')).toBe('100000000-10fffffff : System RAM (virtio_mem)');
  });

  it('stays whole where a page of it is in use', async () => {
    const { run, zone } = await boot('size=2G,requested=512M,block=256M', 'memhp_default_state=online_kernel');
    await run('host monitor qom-set vm0 requested-size 0');
    expect(await zone('Normal')).toEqual([65536, 65536, 65536]);
    expect(await run('host monitor info memory-devices')).toContain('  size: 268435456\n');
  });
});
