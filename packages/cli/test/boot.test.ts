/** The whole command, from options to output. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runProgram } from '../src/program.js';
import type { BootFacts } from '../src/report.js';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-boot-'));
afterAll(() => rmSync(scratch, { recursive: true }));

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const text = (data: string | Uint8Array): string => (typeof data === 'string' ? data : new TextDecoder().decode(data));
  const terminal = { interactive: false, out: (data: string | Uint8Array) => void (out += text(data)), err: (line: string) => void (err += line) };
  return { status: await runProgram(args, terminal), out, err };
}

describe('holdfast', () => {
  it('shows a disk that survives a power cut, twice alike', async () => {
    const first = await run();
    expect(first.status).toBe(0);
    expect(first.out).toContain('BIOS-e820: [mem 0x0000000140000000-0x000000017fffffff] persistent (type 12)');
    expect(first.out.match(/\|Holdfast keeps w\|/g)).toHaveLength(2);
    expect(first.out).toContain('The bytes survived.');
    expect(await run()).toEqual(first);
  });
});

describe('holdfast boot', () => {
  it.each([
    { args: ['--run', 'uname -r'], want: { status: 0, out: '6.1.0\n', err: '' } },
    { args: ['--kernel', '4.4.0-121-generic', '--run', 'uname -r'], want: { status: 0, out: '4.4.0-121-generic\n', err: '' } },
    { args: ['--run', 'exit 3', '--run', 'echo no'], want: { status: 3, out: '', err: '' } },
    { args: ['--run', 'foo'], want: { status: 127, out: '', err: 'sh: foo: not found\n' } },
    { args: ['--memory', '8G', '--cmdline', 'memmap=1G!4G', '--run', 'lsblk -n -o NAME,SIZE'], want: { status: 0, out: 'pmem0   1G\n', err: '' } },
    { args: ['--nvdimm', 'size=400T', '--cmdline', 'pmem.mapping=wb', '--run', 'blockdev --getsize64 /dev/pmem0'], want: { status: 0, out: `${400 * 2 ** 40}\n`, err: '' } },
  ])('$args', async ({ args, want }) => expect(await run('boot', ...args)).toEqual(want));

  it('refuses struct pages in RAM for 400T', async () => {
    expect((await run('boot', '--nvdimm', 'size=400T', '--run', 'dmesg | tail -n 1')).out).toMatch(/^\[.*\] nd_pmem: probe of namespace0\.0 failed with error -12\n$/);
  });

  it('prints the log where nothing else is asked for', async () => {
    const { out } = await run('boot', '--memory', '1G');
    expect(out).toMatch(/^\[ {4}0\.000000\] Linux version 6\.1\.0/);
    expect(out).toContain('Zone ranges:');
  });

  it('prints one JSON object and nothing else', async () => {
    const { out, status } = await run('boot', '--memory', '8G', '--cmdline', 'memmap=1G!4G', '--json', '--run', 'lite', '--run', 'cap later', '--run', 'cat /nope');
    const facts = JSON.parse(out) as BootFacts;
    expect(status).toBe(1);
    expect(facts.e820.user.find(({ type }) => type === 'persistent (type 12)')).toEqual({ start: '0x100000000', end: '0x13fffffff', type: 'persistent (type 12)' });
    expect(Object.keys(facts.captures)).toEqual(['boot', 'later']);
    expect(facts.captures['boot']?.block?.['pmem0']?.['size']).toBe('2097152');
    expect(facts.commands).toMatchObject([
      { n: 1, cmd: 'lite', state: { block: { pmem0: { size: '2097152' } } } },
      { n: 2, cmd: 'cat /nope', rc: 1, stdout: '', stderr: ["cat: can't open '/nope': No such file or directory"], dmesg: [] },
    ]);
  });

  it('tells a panic, with the log up to it and status 1', async () => {
    const { status, out, err } = await run('boot', '--cmdline', 'memmap=exactmap');
    expect(status).toBe(1);
    expect(err).toBe('holdfast: the kernel panicked: Invalid user supplied memory map\n');
    expect(out).toContain('Kernel panic - not syncing: Invalid user supplied memory map');
  });

  it('keeps bytes in an image file from one process to the next', async () => {
    const image = join(scratch, 'pmem.img');
    const nvdimm = `size=64M,image=${image}`;
    expect((await run('boot', '--nvdimm', nvdimm, '--run', 'echo hello > /dev/pmem0; sync')).status).toBe(0);
    expect(readFileSync(image).subarray(0, 6).toString()).toBe('hello\n');
    expect((await run('boot', '--nvdimm', nvdimm, '--run', 'head -n 1 /dev/pmem0')).out).toBe('hello\n');
    expect(await run('boot', '--nvdimm', `size=128M,image=${image}`)).toMatchObject({ status: 2, err: `holdfast: image ${image}: it has 67108864 bytes, expected 134217728\n` });
  });

  it('runs a script, and says where it got its defaults from', async () => {
    const log = join(scratch, 'dmesg.txt');
    writeFileSync(log, ['Linux version 5.4.0-1 (x@y) #1', 'Command line: memmap=64M!512M', 'BIOS-e820: [mem 0x0000000000001000-0x000000000009ffff] usable', 'BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable', ''].join('\n'));
    const script = join(scratch, 'script');
    writeFileSync(script, '# what is there\nuname -r\n\ncat /sys/block/pmem0/size\n');
    expect(await run('boot', '--firmware', log, '--script', script)).toEqual({
      status: 0,
      out: '5.4.0-1\n131072\n',
      err: `holdfast: --cmdline from ${log}: memmap=64M!512M\nholdfast: --kernel from ${log}: 5.4.0-1\n`,
    });
  });
});
