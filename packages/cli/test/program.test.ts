/** The command line's errors and help, as a good Unix tool gives them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadFirmware } from '../src/firmware.js';
import { runProgram } from '../src/program.js';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-program-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(scratch, name), content);
  return join(scratch, name);
};
const MAP = 'BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\nBIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable\n';

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const terminal = { interactive: false, out: (data: string | Uint8Array) => void (out += String(data)), err: (text: string) => void (err += text) };
  return { status: await runProgram(args, terminal), out, err };
}

describe('errors are one line and status 2', () => {
  it.each([
    [['--what'], "unknown option '--what'"],
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['boot', '--what'], "unknown option '--what'"],
    [['boot', '--firmware'], "option '--firmware <path>' argument missing"],
    [['boot', '--firmware', '/nope'], '/nope: No such file or directory'],
    [['boot', '--memory', '4X'], "--memory '4X': expected a size such as 4096, 128K, 4G or 1.5T, at most 8P"],
    [['boot', '--memory', '1M'], '--memory: 1048576 bytes: a PC needs at least 2M'],
    [['boot', '--kernel', 'six'], "kernel release 'six': expected something like 6.1 or 4.4.0-121-generic"],
    [['boot', '--nvdimm', '1G'], "--nvdimm '1G': expected size=SIZE[,label=SIZE][,image=FILE], as in size=1G,image=pmem.img"],
    [['boot', '--nvdimm', 'size=1000'], "--nvdimm size '1000': expected a multiple of 4096 above 0"],
    [['boot', '--nvdimm', 'size=1G,label=64K'], "--nvdimm label '64K': expected a multiple of 4096 of at least 131072, as QEMU does"],
    [['boot', '--seed', 'x'], "--seed 'x': expected a whole number from 0 to 9007199254740991"],
    [['boot', '--cpus', '0'], "--cpus '0': expected a whole number from 1 to 256"],
    [['boot', '--script', '/nope'], '/nope: No such file or directory'],
    [['boot', '--memory', '1G', '--firmware', '.'], '--memory describes a machine without --firmware; give one of them'],
  ])('holdfast %j', async (args, message) => {
    expect(await run(...args)).toEqual({ status: 2, out: '', err: `holdfast: ${message}\n` });
  });

  it('for a file without a map, with its name', async () => {
    const path = file('empty.txt', 'hello\n');
    const { status, err } = await run('boot', '--firmware', path);
    expect(status).toBe(2);
    expect(err).toMatch(`holdfast: ${path}: no memory map`);
    expect(err.trimEnd()).not.toContain('\n');
  });
});

it('help names every option and shows examples', async () => {
  const { status, out } = await run('boot', '--help');
  expect(status).toBe(0);
  for (const option of ['firmware', 'memory', 'cmdline', 'kernel', 'nvdimm', 'run', 'script', 'dmesg', 'json', 'sysroot', 'seed']) expect(out).toContain(`--${option}`);
  expect(out).toContain('Examples:');
});

describe('loadFirmware', () => {
  it('takes release, command line, nodes and place from a whole dmesg', () => {
    const path = file('dmesg.txt', [
      '[    0.000000] Linux version 4.4.0-121-generic (buildd@x) #145 SMP', '[    0.000000] Command line: ro memmap=1G!4G', MAP.trimEnd(),
      '[    0.000000] DMI: Supermicro X8SIE/X8SIE, BIOS 1.0', '[    0.000000] ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x3fffffff]', '',
    ].join('\n'));
    const { cmdline, release, hypervisor, firmware } = loadFirmware(path);
    expect({ cmdline, release, hypervisor }).toEqual({ cmdline: 'ro memmap=1G!4G', release: '4.4.0-121-generic', hypervisor: false });
    expect(firmware.srat).toHaveLength(48 + 40);
  });

  it.each([
    ['{}', 'in a list or as "dimms"'],
    ['[{"handle":"x"}]', 'entry 0: handle is "x"'],
    ['[null]', 'entry 0: handle is undefined'],
    ['[', 'no JSON'],
  ])('says what is wrong with the dimms.json %s', (text, message) => {
    file('e820.txt', MAP);
    file('dimms.json', text);
    expect(() => loadFirmware(scratch)).toThrow(message);
    rmSync(join(scratch, 'dimms.json'));
  });

  it('meets any bytes with a map or an error of one line', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.uint8Array({ maxLength: 200 }), fc.string().map((text) => MAP + text)), (content) => {
        const path = file('hostile.txt', content);
        try {
          expect(loadFirmware(path).firmware.e820.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toMatchObject({ name: 'KernelError', code: 'EINVAL' });
        }
      }),
    );
  });
});
