import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GIB, KIB, KernelError, MIB } from '@holdfast/lib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootFromOptions } from '../src/boot-command.js';
import { labelledDimmFirmware } from '../src/labelled-dimms.js';
import { createCommandRunner } from '../src/run-commands.js';

const MEDIA = 64 * MIB;
const LABELS = 128 * KIB;

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'holdfast-folder-'))));
afterEach(() => rmSync(dir, { recursive: true }));

interface DimmEntry {
  handle?: number;
  label_size?: number;
  media_size?: number;
  image?: string;
}

/** A firmware folder with two NVDIMMs side by side, which the map shows as one range, and their images. */
function folder(...entries: DimmEntry[]): string {
  const { nfit, dimms } = labelledDimmFirmware([0, 1].map((i) => ({ start: 4 * GIB + i * MEDIA, sizeBytes: MEDIA, labelBytes: LABELS })));
  const path = join(dir, 'fw');
  mkdirSync(path);
  writeFileSync(join(path, 'e820.txt'), ['BIOS-e820: [mem 0x0-0x9ffff] usable', 'BIOS-e820: [mem 0x100000-0x3fffffff] usable', 'BIOS-e820: [mem 0x100000000-0x107ffffff] persistent (type 7)', ''].join('\n'));
  writeFileSync(join(path, 'NFIT'), nfit);
  const list = dimms.map(({ handle }, i) => ({ handle, label_size: LABELS, media_size: MEDIA, image: `nv${i}.img`, ...entries[i] }));
  writeFileSync(join(path, 'dimms.json'), JSON.stringify({ ars: true, dimms: list }));
  for (const i of [0, 1]) {
    writeFileSync(join(path, `nv${i}.img`), '');
    truncateSync(join(path, `nv${i}.img`), MEDIA + LABELS);
  }
  return path;
}

async function run(firmware: string, commands: readonly string[]): Promise<string> {
  const system = await bootFromOptions({ firmware });
  let text = '';
  const runner = createCommandRunner(system, { output: { out: (data) => (text += new TextDecoder().decode(data)), err: (line) => (text += line) } });
  for (const command of commands) await runner.run(command);
  system.close();
  return text;
}

async function refusal(firmware: string): Promise<string> {
  try {
    (await bootFromOptions({ firmware })).close();
  } catch (error) {
    if (error instanceof KernelError) return `${error.code}: ${error.message.replaceAll(dir, '')}`;
    throw error;
  }
  return 'booted';
}

describe('a firmware folder with images', () => {
  it('takes a namespace more on each boot, though each draws the same UUIDs', async () => {
    const firmware = folder();
    await run(firmware, ['ndctl disable-region all', 'ndctl init-labels all']);
    for (const count of [1, 2]) {
      const out = await run(firmware, ['ndctl create-namespace -r region0 -m raw -s 16M', 'ndctl list -N -r region0']);
      expect(out.match(/"raw_uuid"|"uuid"/g), out).toHaveLength(count + 1); // one more when it is made
    }
  });

  it('boots to the same disks and bytes again, each DIMM in its file, its labels behind its media', async () => {
    const firmware = folder();
    const first = await run(firmware, ['ndctl disable-region all', 'ndctl init-labels nmem0 nmem1', 'ndctl enable-region all', 'ndctl create-namespace -r region1 -m raw', 'ndctl list', 'echo hello > /tmp/x', 'dd if=/tmp/x of=/dev/pmem1 conv=fsync']);
    expect(first).toContain('"dev":"namespace1.0"');
    const again = await run(firmware, ['ndctl list', 'head -c 5 /dev/pmem1']);
    expect(again).toContain('"blockdev":"pmem1"');
    expect(again.endsWith('hello')).toBe(true);
    const uuid = /"uuid":"([^"]+)"/;
    expect(uuid.exec(again)![1]).toBe(uuid.exec(first)![1]);
    const image = readFileSync(join(firmware, 'nv1.img'));
    expect([image.subarray(0, 5).toString(), image.subarray(MEDIA, MEDIA + 15).toString()]).toEqual(['hello', 'NAMESPACE_INDEX']);
  });

  it('has a scrub if dimms.json says so', async () => {
    expect(await run(folder(), ['cat /sys/bus/nd/devices/ndbus0/commands'])).toBe('ars_cap ars_start ars_status clear_error cmd_call \n');
  });

  it.each<[string, DimmEntry[], RegExp]>([
    ['one file for two', [{ image: 'nv1.img' }], /^EINVAL: image \/fw\/nv1.img of DIMM 0x\w+: DIMM 0x\w+ has it already/],
    ['a size that is not the range’s', [{ media_size: MEDIA / 2 }], /^EINVAL: .*media_size is 33554432, and the NFIT's range has 67108864 bytes/],
    ['a file of another size', [{ label_size: 2 * LABELS }], /^EINVAL: image \/fw\/nv0.img: it has 67239936 bytes, expected 67371008/],
    ['a handle that the NFIT does not know', [{ handle: 77 }], /^EINVAL: .*of DIMM 0x4d: the NFIT has no persistent range of it/],
    ['an image that is no name', [{ image: '' }], /^EINVAL: .*entry 0: image is ""; expected/],
  ])('refuses %s', async (_what, entries, message) => {
    expect(await refusal(folder(...entries))).toMatch(message);
  });

  it('boots a description that came without its files, and says how to keep the bytes', async () => {
    const firmware = folder({ image: 'none.img' });
    const notes: string[] = [];
    const system = await bootFromOptions({ firmware }, (text) => notes.push(text));
    const runner = createCommandRunner(system);
    await runner.run('ndctl init-labels -f nmem0');
    expect(runner.status).toBe(1); // the region is active: the DIMM has its label area
    await runner.run('echo hello > /dev/pmem0');
    expect(runner.status).toBe(0);
    system.close();
    expect(notes.map((note) => note.replaceAll(dir, ''))).toEqual([
      'image /fw/none.img of DIMM 0x1: no such file, so its bytes are lost at the end; to keep them: truncate -s 67239936 /fw/none.img',
    ]);
    expect(existsSync(join(firmware, 'none.img'))).toBe(false);
  });

  it('refuses two names of one file', async () => {
    const firmware = folder({}, { image: 'link.img' });
    symlinkSync(join(firmware, 'nv0.img'), join(firmware, 'link.img'));
    expect(await refusal(firmware)).toMatch(/^EBUSY: image .*in use by this process/);
  });
});
