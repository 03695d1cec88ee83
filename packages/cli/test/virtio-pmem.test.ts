/** Memory in a file of the host: what survives a power cut is what was flushed to the host. */
import { describe, expect, it } from 'vitest';
import { CliError, bootFromOptions, createCommandRunner } from '@holdfast/cli';

describe('--virtio-pmem', () => {
  it('gives a disk that is flushed by the host', async () => {
    const system = await bootFromOptions({ memory: '1G', virtioPmem: ['size=64M'] });
    const runner = createCommandRunner(system);
    const { run } = runner;
    const stdout = (index: number): unknown => (runner.records.at(index) as { stdout?: unknown }).stdout;
    await run('cat /sys/bus/nd/devices/ndbus0/provider');
    await run('echo flushed | dd of=/dev/pmem0 conv=fsync,notrunc');
    await run('cat /sys/block/pmem0/queue/fua');
    await run('host monitor info memory-devices');
    expect(stdout(0)).toBe('virtio-pmem');
    expect(stdout(2)).toBe('0');
    expect(stdout(3)).toBe('Memory device [virtio-pmem]: "vp0"\n  memaddr: 0x100000000\n  size: 67108864');
    expect(system.kernel?.machine.undecided()).toEqual([]);
    await run('echo open | dd of=/dev/pmem0 bs=512 seek=8 conv=notrunc');
    expect(system.kernel?.machine.undecided().length).toBeGreaterThan(0);
    await run('powercut');
    await run('head -n 1 /dev/pmem0');
    expect(stdout(-1)).toBe('flushed');
  });

  it('is a bus each, which ndctl lists in the order of its own list, the last first', async () => {
    const system = await bootFromOptions({ memory: '1G', virtioPmem: ['size=64M', 'size=128M'] });
    const runner = createCommandRunner(system);
    await runner.run('ndctl list -B');
    expect((runner.records.at(-1) as { stdout?: unknown }).stdout).toMatchObject([{ dev: 'ndbus1' }, { dev: 'ndbus0' }]);
  });

  it.each(['', 'size=', 'size=1G,size=2G', 'size=1G,shape=round', 'size=1G,image=', '1G'])("refuses '%s', and says what it expects", async (text) => {
    await expect(bootFromOptions({ virtioPmem: [text] })).rejects.toThrow(CliError);
    await expect(bootFromOptions({ virtioPmem: [text] })).rejects.toThrow('expected size=SIZE[,image=FILE][,id=ID]');
  });
});
