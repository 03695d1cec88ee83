import { GIB, MIB } from '@holdfast/lib';
import { afterEach, describe, expect, it } from 'vitest';
import { type BootCommandOptions, bootFromOptions } from '../src/boot-command.js';
import { createCommandRunner } from '../src/run-commands.js';
import type { System } from '../src/system.js';

const LABELLED: BootCommandOptions = { memory: '1G', nvdimm: ['size=256M,label=128K'], ars: true };

let open: System | undefined;
afterEach(() => {
  open?.close();
  open = undefined;
});

/** A machine, and what running a command on it gives: standard output, standard error, exit status. */
async function boot(options: BootCommandOptions): Promise<(command: string) => Promise<{ out: string; err: string; rc: number }>> {
  const system = await bootFromOptions(options);
  open = system;
  return async (command) => {
    let [out, err] = ['', ''];
    const runner = createCommandRunner(system, { output: { out: (data) => (out += typeof data === 'string' ? data : new TextDecoder().decode(data)), err: (text) => (err += text) }, explain: false });
    await runner.run(command);
    return { out, err, rc: runner.status };
  };
}

const listed = (out: string): Record<string, unknown> => [JSON.parse(out) as unknown].flat()[0] as Record<string, unknown>;

describe('ndctl inject-error', () => {
  it('loses blocks, which the kernel finds at once, and shows them as ndctl does', async () => {
    const run = await boot(LABELLED);
    const { out, rc } = await run('ndctl inject-error namespace0.0 --block=8 --count=2');
    expect(rc).toBe(0);
    expect(listed(out)).toMatchObject({ dev: 'namespace0.0', badblock_count: 2, badblocks: [{ offset: 8, length: 2, dimms: ['nmem0'] }] });
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('8 2\n');
    expect((await run('cat /sys/bus/nd/devices/region0/badblocks')).out).toBe('8 2\n');
    expect((await run('dd if=/dev/pmem0 of=/dev/null bs=512 skip=8 count=1 iflag=direct')).rc).not.toBe(0);
    expect((await run('ndctl inject-error namespace0.0 --status')).out).toBe('{\n  "badblocks":[\n    {\n      "block":8,\n      "count":2\n    }\n  ]\n}\n');
    expect((await run('ndctl inject-error namespace0.0 -t -u')).out).toContain('"block":"0x8"');
  });

  it.each<[string, BootCommandOptions, string, number]>([
    ['an NFIT without scrubs', { ...LABELLED, ars: false }, 'No such file or directory', 254],
    ['the memory map', { memory: '2G', cmdline: 'memmap=64M!1G' }, 'Operation not supported', 161],
  ])('has no scrub to start or wait for on the bus of %s', async (_what, options, why, rc) => {
    const run = await boot(options);
    expect(await run('ndctl start-scrub')).toEqual({ out: '', err: `error starting scrub: ${why}\n`, rc });
    expect(await run('ndctl wait-scrub')).toEqual({ out: '', err: `error waiting for scrub completion: ${why}\n`, rc });
  });

  it('tells nobody with --no-notify, until a scrub finds them', async () => {
    const run = await boot(LABELLED);
    await run('ndctl wait-scrub');
    expect(listed((await run('ndctl inject-error namespace0.0 -B 100 -n 1 -N')).out)).not.toHaveProperty('badblocks');
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('');
    expect(listed((await run('ndctl start-scrub')).out)).toEqual({ provider: 'ACPI.NFIT', dev: 'ndbus0', scrub_state: 'active' });
    expect(listed((await run('ndctl wait-scrub')).out)).toEqual({ provider: 'ACPI.NFIT', dev: 'ndbus0', scrub_state: 'idle' });
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('100 1\n');
  });

  it('takes errors back, though the kernel remembers them', async () => {
    const run = await boot(LABELLED);
    await run('ndctl inject-error namespace0.0 -B 8 -n 1 --saturate');
    expect(open!.kernel!.machine.poison.within(4 * GIB, 256 * MIB)).toEqual([{ start: 4 * GIB + 4096, end: 4 * GIB + 4608 }]);
    const { out, rc } = await run('ndctl inject-error namespace0.0 -B 8 -n 1 -d --saturate');
    expect([rc, out.split('\n')[0]]).toEqual([0, 'Warning: Un-injecting previously injected errors here will']);
    expect(out).toContain('"badblock_count":1');
    expect(open!.kernel!.machine.poison.within(4 * GIB, 256 * MIB)).toEqual([]);
    expect((await run('ndctl inject-error namespace0.0 --status')).out).toBe('');
  });

  it.each([
    [LABELLED, '-B 524288 -n 1', 'Unable to inject error: Invalid argument (-22)', 234],
    [LABELLED, '-B 1 -n 0', 'Unable to inject error: Invalid argument (-22)', 234],
    [LABELLED, '-B 1', '  Error: block and count required for inject/uninject', 234],
    [{ ...LABELLED, ars: false }, '-B 1 -n 1', 'namespace0.0: error injection not supported', 161],
    [{ memory: '1G', nvdimm: ['size=256M'], ars: true }, '-B 1 -n 1', 'namespace0.0: error injection not supported', 161],
  ])('refuses %j %s', async (options, args, text, status) => {
    const run = await boot(options);
    const { err, rc } = await run(`ndctl inject-error namespace0.0 ${args}`);
    expect([err.includes(text), rc, err]).toEqual([true, status, expect.anything()]);
  });
});

describe('media errors', () => {
  it('stay over a power cut and are found at boot, by the quick scrub; latent ones by the full one', async () => {
    const run = await boot(LABELLED);
    await run('ndctl inject-error namespace0.0 -B 8 -n 1');
    open!.kernel!.machine.poison.inject(4 * GIB + 1 * MIB, 64);
    open!.powercut();
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('8 1\n');
    expect((await run('cat /sys/bus/nd/devices/ndbus0/nfit/scrub')).out).toBe('0+\n');
    await run('ndctl wait-scrub');
    expect((await run('cat /sys/bus/nd/devices/ndbus0/nfit/scrub; cat /sys/block/pmem0/badblocks')).out).toBe('1\n8 1\n2048 1\n');
  });

  it('are learned of by the load that meets them', async () => {
    const run = await boot(LABELLED);
    open!.kernel!.machine.poison.inject(4 * GIB + 1 * MIB, 64);
    expect((await run('dd if=/dev/pmem0 of=/dev/null bs=4096 skip=256 count=1 iflag=direct')).rc).not.toBe(0);
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('2048 1\n');
  });

  it('go by a write, or by ndctl clear-errors, from all lists', async () => {
    const run = await boot(LABELLED);
    await run('ndctl inject-error namespace0.0 -B 8 -n 8');
    await run('ndctl inject-error namespace0.0 -B 64 -n 1');
    await run('dd if=/dev/zero of=/dev/pmem0 bs=4096 seek=1 count=1 oflag=direct');
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('64 1\n');
    open!.kernel!.machine.poison.inject(4 * GIB + 2 * MIB, 512);
    const { out, err, rc } = await run('ndctl clear-errors namespace0.0 --scrub');
    expect([rc, err]).toEqual([0, 'cleared 1 namespace\n']);
    expect(listed(out)).not.toHaveProperty('badblocks');
    expect((await run('cat /sys/bus/nd/devices/region0/badblocks /sys/block/pmem0/badblocks')).out).toBe('');
    expect(open!.kernel!.machine.poison.within(4 * GIB, 256 * MIB)).toEqual([]);
  });

  it('of a namespace with an info block are counted from its data', async () => {
    const run = await boot(LABELLED);
    expect((await run('ndctl create-namespace -f -e namespace0.0 -m fsdax -L')).rc).toBe(0);
    const ns = listed((await run('ndctl list')).out)['dev'] as string;
    const { out } = await run(`ndctl inject-error ${ns} -B 0 -n 1`);
    expect(listed(out)['badblocks']).toEqual([{ offset: 0, length: 1, dimms: ['nmem0'] }]);
    expect((await run('cat /sys/block/pmem0/badblocks')).out).toBe('0 1\n');
  });
});

describe('a namespace that is RAM in use', () => {
  it('is not taken away, and -v tells once where the library looked', async () => {
    const run = await boot({ memory: '8G', cmdline: 'memmap=1G!4G numa=fake=2' });
    await run('ndctl create-namespace -f -e namespace0.0 -m devdax');
    await run('daxctl reconfigure-device --mode=system-ram --no-movable dax0.0');
    const { err, rc } = await run('ndctl create-namespace -f -v -e namespace0.0 -m fsdax');
    expect(rc).toBe(240);
    expect(err.split('\n').slice(-4)).toEqual([
      expect.stringContaining("libdaxctl: add_dax_dev: add_dax_dev: base: '/sys/devices/"),
      'libndctl: ndctl_namespace_disable_safe: namespace0.0: active as system-ram, refusing to disable',
      'failed to reconfigure namespace: Device or resource busy',
      '',
    ]);
  });
});
