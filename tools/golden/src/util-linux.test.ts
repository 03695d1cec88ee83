/** lsmem and lsblk of util-linux print for an exported machine what they print for the real one, whose /sys was captured. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Capture, buildMachine, createSystem, exportSysroot, loadFirmware, planMachine } from '@holdfast/cli';
import { DEFAULT_RELEASE } from '@holdfast/lib';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCases } from './load-case.js';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-util-linux-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const here = ['lsmem', 'lsblk'].every((tool) => spawnSync(tool, ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux'));

/** The captured facts as the files they were read from. */
function writeCaptured(target: string, { memory, block = {} }: Capture): void {
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    writeFileSync(join(target, path), `${text}\n`);
  };
  const folder = 'sys/devices/system/memory';
  write(`${folder}/block_size_bytes`, memory['block_size_bytes'] as string);
  for (const { block: nr, nodes, phys_index, state, removable, valid_zones } of memory.blocks) {
    for (const [name, text] of Object.entries({ phys_index, state, removable, valid_zones })) write(`${folder}/memory${nr}/${name}`, text);
    for (const node of nodes) symlinkSync(`../../node/node${node}`, join(target, `${folder}/memory${nr}/node${node}`));
  }
  mkdirSync(join(target, 'sys/dev/block'), { recursive: true });
  mkdirSync(join(target, 'sys/block'), { recursive: true });
  for (const [disk, attributes] of Object.entries(block)) {
    for (const [name, text] of Object.entries(attributes)) write(`sys/block/${disk}/${name}`, text);
    symlinkSync(`../../block/${disk}`, join(target, `sys/dev/block/${attributes['dev']}`));
  }
}

const print = (tool: string, args: readonly string[], root: string): string =>
  spawnSync(tool, [...args, '--sysroot', root], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } }).stdout;

const NAMES = ['a-pc-1g', 'a-pc-odd', 'a-numa2', 'a-numa4', 'a-movablecore', 'a-q35-4g', 'b-pmem-1g-4g', 'b-pmem-two', 'b-numa-pmem', 'b-pmem-low-512m'];
const cases = loadCases(fileURLToPath(new URL('../cases', import.meta.url))).filter(({ name }) => NAMES.includes(name));

describe.skipIf(!here).each(cases)('util-linux on $name', (golden) => {
  it('prints what it prints on the real machine', async () => {
    const [real, ours] = [join(scratch, golden.name, 'real'), join(scratch, golden.name, 'ours')];
    writeCaptured(real, golden.expected.captures['boot'] as unknown as Capture);
    const { firmware, cmdline = '' } = loadFirmware(golden.firmwareDir);
    const { machine } = await buildMachine(planMachine({ firmware, cmdline, release: DEFAULT_RELEASE, la57: golden.la57 }));
    exportSysroot(createSystem({ machine, firmware, cmdline }).root, ours);
    for (const args of [[], ['-a', '--output-all'], ['-J', '-b']]) expect(print('lsmem', args, ours)).toBe(print('lsmem', args, real));
    for (const args of [['-n', '-l', '-o', 'NAME,SIZE,RO,TYPE', '-x', 'NAME'], ['-b', '-t', '-x', 'NAME']]) {
      expect(print('lsblk', args, ours)).toBe(print('lsblk', args, real));
    }
    expect(print('lsmem', [], ours)).toContain('Total online memory');
  });
});
