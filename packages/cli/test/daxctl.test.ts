/**
 * daxctl on a booted machine with 1 GiB of soft-reserved memory at 4 GiB. What the captured machines did is replayed by tools/golden;
 * here is what they did not do: other options, half-online memory, wrong calls.
 */
import { describe, expect, it } from 'vitest';
import { bootFromOptions } from '../src/boot-command.js';
import { createShell } from '../src/console/shell.js';

interface Ran {
  status: number;
  out: string;
  err: string[];
}

/** With 4G the soft-reserved range is the end of RAM, for which, without an SRAT, no node is known. */
async function machine({ memory = '8G' } = {}) {
  const system = await bootFromOptions({ memory, cmdline: 'memmap=1G%4G-1+0xefffffff' });
  let [out, err] = ['', ''];
  const explained: string[] = [];
  const shell = createShell({
    system,
    out: (data) => void (out += new TextDecoder().decode(data)),
    err: (text) => void (err += text),
    explain: ({ rule, nearest }) => void explained.push(nearest === undefined ? rule : `${rule} → ${nearest.join(', or ')}`),
  });
  return {
    explained,
    async run(line: string): Promise<Ran> {
      [out, err] = ['', ''];
      explained.length = 0;
      const status = await shell.run(line);
      return { status, out, err: err === '' ? [] : err.replace(/\n$/, '').split('\n') };
    },
    async json(line: string): Promise<unknown> {
      out = '';
      await shell.run(line);
      return JSON.parse(out);
    },
  };
}

const DEVICE = { chardev: 'dax0.0', size: 2 ** 30, target_node: 0, align: 2097152, mode: 'devdax' };
const REGION = { path: '/platform/hmem.0', id: 0, size: 2 ** 30, align: 2097152 };
const MAPPING = { page_offset: 0, start: 2 ** 32, end: 2 ** 32 + 2 ** 30 - 1, size: 2 ** 30 };

describe('daxctl list', () => {
  it.each<[string, unknown]>([
    ['', [DEVICE]],
    ['-D', [DEVICE]],
    ['-R', [REGION]],
    ['-RD', [{ ...REGION, devices: [DEVICE] }]],
    ['-M', [{ ...DEVICE, mappings: [MAPPING] }]],
    ['-u', { ...DEVICE, size: '1024.00 MiB (1073.74 MB)' }],
    ['-Mu', { ...DEVICE, size: '1024.00 MiB (1073.74 MB)', mappings: [{ page_offset: '0', start: '0x100000000', end: '0x13fffffff', size: '1024.00 MiB (1073.74 MB)' }] }],
    ['-r 0', [REGION]],
    ['--region=region0 -D', [DEVICE]],
    ['-d dax0.0', [DEVICE]],
    ['-d 0.0', [DEVICE]],
  ])('%s', async (options, want) => expect(await (await machine()).json(`daxctl list ${options}`)).toEqual(want));

  it.each(['-r 1', '-d dax0.1', '-r region7 -D'])('%s prints nothing, and succeeds', async (options) => {
    expect(await (await machine()).run(`daxctl list ${options}`)).toEqual({ status: 0, out: '', err: [] });
  });

  it('shows devices without memory with -i alone', async () => {
    const { run, json } = await machine();
    await run('daxctl disable-device dax0.0');
    await run('daxctl reconfigure-device -s 0 dax0.0');
    expect((await run('daxctl list')).out).toBe('');
    expect(await json('daxctl list -i')).toEqual([{ ...DEVICE, size: 0, state: 'disabled' }]);
    expect(await json('daxctl list -R')).toEqual([{ ...REGION, available_size: 2 ** 30, align: 2097152 }]);
  });
});

describe('daxctl create-device', () => {
  it('makes a device as a file says, mapping by mapping', async () => {
    const { run, json } = await machine();
    await run('daxctl disable-device dax0.0');
    await run('daxctl reconfigure-device -s 256M dax0.0');
    await run('echo \'{ "chardev": "dax0.3", "size": "128M", "align": 2097152, "mappings": [' +
      '{ "page_offset": 16384, "start": 4831838208, "end": 4898947071 }, { "page_offset": 0, "start": 5100273664, "end": 5167382527 } ] }\' > /tmp/device');
    const made = await run('daxctl create-device --input=/tmp/device');
    expect([made.status, made.err]).toEqual([0, ['created 1 device']]);
    expect(await json('daxctl list -M -d dax0.1')).toMatchObject([{ size: 2 ** 27, mappings: [{ start: 4831838208 }, { start: 5100273664, page_offset: 0 }] }]);
  });

  it('takes what is left where the size is no number', async () => {
    const { run, json } = await machine();
    await run('daxctl disable-device dax0.0');
    await run('daxctl reconfigure-device -s 256M dax0.0');
    expect((await run('daxctl create-device -r 0 -s lots')).status).toBe(0);
    expect(await json('daxctl list -d dax0.1')).toMatchObject([{ size: 768 * 2 ** 20 }]);
  });

  it('refuses a file that is none', async () => {
    const { status, err } = await (await machine()).run('daxctl create-device --input=/proc/cmdline');
    expect([status, err[0]]).toEqual([129, 'error: failed to parse device file: Invalid argument']);
  });
});

describe('daxctl reconfigure-device', () => {
  it('changes the alignment, and then finds no mode', async () => {
    const { run, json } = await machine();
    await run('daxctl disable-device dax0.0');
    expect(await run('daxctl reconfigure-device -a 1G dax0.0')).toEqual({
      status: 234, out: '', err: ['dax0.0: unknown mode requested: 0', 'error reconfiguring devices: Invalid argument', 'reconfigured 0 devices'],
    });
    expect(await json('daxctl list -u')).toMatchObject({ align: '1024.00 MiB (1073.74 MB)', state: 'disabled' });
  });

  it('refuses an alignment while the device is in use, and says why to who asks', async () => {
    const { run, explained } = await machine();
    expect((await run('daxctl reconfigure-device -a 4K dax0.0')).err[0]).toBe('libdaxctl: daxctl_dev_set_align: dax0.0: failed to set align');
    expect(explained).toEqual(['dax0.0 is in use, and keeps its alignment → daxctl disable-device dax0.0 && daxctl reconfigure-device dax0.0 -a 4K -s 1073741824']);
  });

  it('brings memory online where the policy says with --no-movable', async () => {
    const { run, json } = await machine();
    expect((await run('daxctl reconfigure-device --mode=system-ram --no-movable dax0.0')).status).toBe(0);
    expect(await json('daxctl list')).toEqual([{ ...DEVICE, mode: 'system-ram', online_memblocks: 8, total_memblocks: 8, movable: false }]);
    expect((await run('cat /sys/devices/system/memory/memory35/valid_zones')).out).toBe('Normal\n');
  });

  it('counts memory that is half online, and completes it', async () => {
    const { run, json } = await machine();
    await run('daxctl reconfigure-device -m system-ram -N dax0.0');
    await run('echo online_movable > /sys/devices/system/memory/memory33/state');
    expect(await json('daxctl list')).toEqual([{ ...DEVICE, mode: 'system-ram', online_memblocks: 1, total_memblocks: 8 }]);
    const online = await run('daxctl online-memory -v dax0.0');
    expect(online.err.slice(-3)).toEqual(['dax0.0: 1 memory section already online', 'dax0.0: 7 memory sections onlined', 'onlined memory for 1 device']);
    await run('echo offline > /sys/devices/system/memory/memory34/state');
    const devdax = await run('daxctl reconfigure-device -f --mode=devdax dax0.0');
    expect([devdax.status, devdax.err]).toEqual([0, ['dax0.0: 1 memory section already offline', 'reconfigured 1 device']]);
    expect(JSON.parse(devdax.out)).toEqual([DEVICE]);
  });

  it('is stopped by a policy that brings memory online by itself, unless it wants the same', async () => {
    const { run, explained } = await machine();
    await run('echo online > /sys/devices/system/memory/auto_online_blocks');
    expect(await run('daxctl reconfigure-device --mode=system-ram dax0.0')).toMatchObject({ status: 240 });
    expect(explained[0]).toContain('auto_online_blocks');
    const same = await run('daxctl reconfigure-device --mode=system-ram --no-movable dax0.0');
    expect([same.status, same.err.slice(-2)]).toEqual([0, ['dax0.0: all memory sections (8) already online', 'reconfigured 1 device']]);
    expect((await run('cat /sys/devices/system/memory/memory32/state')).out).toBe('online\n');
  });

  it('knows system-ram when it is there already', async () => {
    const { run } = await machine();
    await run('daxctl reconfigure-device -m system-ram dax0.0');
    const again = await run('daxctl reconfigure-device -m system-ram dax0.0');
    expect([again.status, again.err[0], again.err.at(-1)]).toEqual([0, 'dax0.0 was already in system-ram mode', 'reconfigured 1 device']);
  });

  it('of memory without a node leaves a device without driver', async () => {
    const { run } = await machine({ memory: '4G' });
    const { status, err } = await run('daxctl reconfigure-device -m system-ram dax0.0');
    expect([status, err]).toEqual([234, ['libdaxctl: daxctl_dev_enable: dax0.0: failed to enable', 'error reconfiguring devices: Invalid argument', 'reconfigured 0 devices']]);
    expect((await run('dmesg')).out).toContain('kmem dax0.0: rejecting DAX region with invalid node: -1');
  });
});

describe('daxctl on devices', () => {
  it('enables and disables, but not memory', async () => {
    const { run } = await machine();
    expect(await run('daxctl disable-device all')).toEqual({ status: 0, out: '', err: ['disabled 1 device'] });
    expect(await run('daxctl disable-device dax0.0')).toEqual({ status: 0, out: '', err: ['disabled 1 device'] });
    expect(await run('daxctl enable-device 0.0')).toEqual({ status: 0, out: '', err: ['enabled 1 device'] });
    await run('daxctl reconfigure-device -m system-ram dax0.0');
    expect(await run('daxctl disable-device dax0.0')).toEqual({
      status: 250, out: '', err: ['dax0.0: status operations are only applicable in devdax mode', 'error disabling device: No such device or address', 'disabled 0 devices'],
    });
  });

  it('does not destroy what is in use', async () => {
    expect(await (await machine()).run('daxctl destroy-device /dev/dax0.0')).toEqual({
      status: 250, out: '', err: ['dax0.0 is active, specify --force for deletion', 'error destroying devices: No such device or address', 'destroyed 0 devices'],
    });
  });

  it('tells with -v what the library does', async () => {
    expect((await (await machine()).run('daxctl disable-device -v dax0.0')).err).toEqual([
      'libdaxctl: __dax_regions_init: no dax regions found via: /sys/class/dax',
      "libdaxctl: add_dax_region: add_dax_region: '/sys/devices/platform/hmem.0'",
      "libdaxctl: add_dax_dev: add_dax_dev: base: '/sys/devices/platform/hmem.0/dax0.0'",
      'libdaxctl: daxctl_dev_disable: dax0.0: disabled',
      'disabled 1 device',
    ]);
  });
});

describe('daxctl, called wrongly', () => {
  it.each([
    ['daxctl', 1, '', undefined],
    ['daxctl bogus', 1, "Unknown command: 'bogus'", undefined],
    ['daxctl --bogus', 129, 'Unknown option: --bogus', undefined],
    ['daxctl list -x', 129, "  Error: unknown switch `x'", 'daxctl list [<options>]'],
    ['daxctl list more', 129, '  Error: unknown parameter "more"', 'daxctl list [<options>]'],
    ['daxctl enable-device', 129, 'specify a device to disable, or "all"', 'daxctl enable-device <device>'],
    ['daxctl online-memory', 129, 'specify a device to online memory for, or "all"', 'daxctl online-memory <device> [<options>]'],
    ['daxctl offline-memory dax0.0 dax0.1', 129, 'unknown extra parameter "dax0.1"', 'daxctl offline-memory <device> [<options>]'],
    ['daxctl reconfigure-device dax0.0', 129, "error: a 'align', 'mode' or 'size' option is required", 'daxctl reconfigure-device <device> [<options>]'],
    ['daxctl reconfigure-device -m devdax -N dax0.0', 129, '--no-online is incompatible with --mode=devdax', 'daxctl reconfigure-device <device> [<options>]'],
    ['daxctl reconfigure-device -C dax0.0', 0, 'no UUID match for dax0.0 found in config files', undefined],
    ['daxctl migrate-device-model', 1, '  Error: failed to install /etc/modprobe.d/daxctl.conf: No such file or directory', undefined],
  ])('%s', async (line, status, first, usage) => {
    const ran = await (await machine()).run(line);
    expect([ran.status, ran.err[0] ?? '']).toEqual([status, first]);
    if (usage !== undefined) expect(ran.err).toContain(` usage: ${usage}`);
  });
});
