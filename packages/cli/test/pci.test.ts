/** PCI cards with persistent memory, from the command line to the disk. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runProgram } from '../src/program.js';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-pci-'));
afterAll(() => rmSync(scratch, { recursive: true }));

async function boot(pciPmem: string[], commands: string[], more: string[] = []): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const text = (data: string | Uint8Array): string => (typeof data === 'string' ? data : new TextDecoder().decode(data));
  const terminal = { interactive: false, out: (data: string | Uint8Array) => void (out += text(data)), err: (line: string) => void (err += line) };
  const args = ['boot', ...more, ...pciPmem.flatMap((spec) => ['--pci-pmem', spec]), ...commands.flatMap((command) => ['--run', command])];
  return { status: await runProgram(args, terminal), out, err };
}

const done = (out: string): unknown => ({ status: 0, out, err: '' });
const DEVICE = '/sys/bus/pci/devices/0000:00:04.0';

describe('--pci-pmem', () => {
  it('is a disk whose bytes survive a power cut', async () => {
    const commands = ['echo hello > /dev/pmem0', 'sync', 'powercut > /dev/null', 'head -c 6 /dev/pmem0', 'lsblk -n -o NAME,SIZE'];
    expect(await boot(['size=1G'], commands)).toEqual(done('hello\npmem0   1G\n'));
  });

  it('keeps its bytes in an image, whatever the next machine looks like', async () => {
    const image = join(scratch, 'card.img');
    expect(await boot([`size=64M,image=${image}`], ['echo hello > /dev/pmem0', 'sync'])).toEqual(done(''));
    expect(await boot(['size=1G', `size=64M,image=${image}`], ['head -c 6 /dev/pmem1'], ['--memory', '1G', '--cmdline', 'pmem.mapping=pages'])).toEqual(done('hello\n'));
  });

  it('stands beside NVDIMMs, which keep their names', async () => {
    expect(await boot(['size=64M'], ['lsblk -n -o NAME,SIZE'], ['--nvdimm', 'size=1G'])).toEqual(done('pmem0   1G\npmem1  64M\n'));
  });

  it.each([['size=1'], ['image=x'], ['size=1G,label=1M'], ['size=1G,image=']])('refuses %s', async (spec) => {
    const { status, err } = await boot([spec], []);
    expect(status).toBe(2);
    expect(err).toMatch(/^holdfast: --pci-pmem/);
  });

  it('has room for 400T', async () => {
    expect(await boot(['size=400T'], ['blockdev --getsize64 /dev/pmem0'])).toEqual(done(`${400 * 2 ** 40}\n`));
  });
});

describe('a machine without cards', () => {
  it('knows nothing of PCI devices', async () => {
    const { out } = await boot([], ['dmesg', 'lspci', 'ls /sys/bus']);
    expect(out).not.toContain('pci');
  });
});

describe('lspci', () => {
  it('lists names, or numbers, or both', async () => {
    expect(await boot(['size=1G'], ['lspci', 'lspci -n', 'lspci -nn', 'lspci -s 05', 'lspci -D -s 4.0'])).toEqual(done([
      '00:04.0 RAM memory: Holdfast Persistent memory card (rev 01)',
      '00:04.0 0500: 4846:504d (rev 01)',
      '00:04.0 RAM memory [0500]: Holdfast Persistent memory card [4846:504d] (rev 01)',
      '0000:00:04.0 RAM memory: Holdfast Persistent memory card (rev 01)',
      '',
    ].join('\n')));
  });

  it('shows regions and the driver', async () => {
    expect((await boot(['size=1G'], ['lspci -v'])).out.split('\n').slice(1)).toEqual([
      '\tSubsystem: Device 4846:504d',
      '\tFlags: fast devsel, latency 0',
      '\tMemory at c0000000 (32-bit, non-prefetchable) [size=4K]',
      '\tMemory at 380000000000 (64-bit, prefetchable) [size=1G]',
      '\tKernel driver in use: pmem_pci',
      '',
      '',
    ]);
  });
});

describe('a card that is pulled', () => {
  it.each(['', 'pmem.mapping=wb', 'pmem.mapping=pages', 'pmem.pages=dynamic'])('leaves the kernel as one that never held it: %s', async (cmdline) => {
    const look = ['cat /proc/iomem', 'cat /proc/partitions', 'grep -c . /proc/zoneinfo', 'grep MemFree /proc/meminfo', 'ls /sys/bus/pci/devices'];
    const more = ['--memory', '1G', ...(cmdline === '' ? [] : ['--cmdline', cmdline])];
    const first = ['echo 1 > /sys/bus/pci/devices/0000:00:04.0/remove'];
    const again = ['echo 1 > /sys/bus/pci/rescan', 'echo hello > /dev/pmem0', 'sync', 'host pull 4'];
    const { out, err, status } = await boot(['size=1G'], [...first, ...look, ...again, ...look], more);
    const [before, after] = out.split('ok\n');
    expect({ status, err, after }).toEqual({ status: 0, err: '', after: before });
    expect(before).not.toContain('0000:00:04.0');
  });

  it('is missed where there is none', async () => {
    expect((await boot(['size=1G'], ['host pull 7'])).status).not.toBe(0);
    expect((await boot([], ['host pull 4'])).status).not.toBe(0);
  });
});

describe('the design of a card', () => {
  it('dynamic has pages for it (thread: row 16)', async () => {
    const { status, out } = await boot(['size=1G'], ['echo hello > /dev/pmem0', 'head -c 6 /dev/pmem0'], ['--cmdline', 'pmem.pages=dynamic']);
    expect({ status, out }).toEqual({ status: 0, out: 'hello\n' });
  });

  it('ram is for ranges of the firmware map only (thread: row 12)', async () => {
    const { out } = await boot(['size=1G'], ['lsblk', 'dmesg | tail -n 2'], ['--cmdline', 'pmem.pages=ram']);
    expect(out).toMatch(/pmem_pci: probe of 0000:00:04\.0 failed with error -\d+\n$/);
    expect(out).not.toContain('disk');
  });
});

describe('sysfs', () => {
  it('removes a card and finds it again, with its bytes', async () => {
    const commands = ['echo hello > /dev/pmem0', `echo 1 > ${DEVICE}/remove`, 'lsblk', 'ls /sys/bus/pci/devices', 'echo 1 > /sys/bus/pci/rescan', 'head -c 6 /dev/pmem0'];
    expect(await boot(['size=1G'], commands)).toEqual(done('hello\n'));
  });

  it('unbinds and binds', async () => {
    const driver = '/sys/bus/pci/drivers/pmem_pci';
    const commands = [`echo 0000:00:04.0 > ${driver}/unbind`, 'lsblk', `cat ${DEVICE}/enable`, `echo 1 > ${DEVICE}/enable`, `cat ${DEVICE}/enable`, `echo 0 > ${DEVICE}/enable`, `echo 0000:00:04.0 > ${driver}/bind`, 'lsblk -n -o NAME'];
    expect(await boot(['size=1G'], commands)).toEqual(done('0\n1\npmem0\n'));
  });
});
