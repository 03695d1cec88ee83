/** sort, find, grep and mountpoint: what their real ones print for the same words. */
import { expect, it } from 'vitest';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';

async function outputs(commands: readonly string[]): Promise<[number, string, string[]][]> {
  const system = await bootFromOptions({ memory: '1G', nvdimm: ['size=64M'] });
  const runner = createCommandRunner(system);
  for (const command of commands) await runner.run(command);
  system.close();
  return (runner.records as CommandRecord[]).map(({ rc, stdout, stderr }) => [rc, stdout as string, stderr]);
}

const LINES = "echo '3 c\n1 a\n10 b\n2 a'";

it.each<[string, number, string]>([
  [`${LINES} | sort`, 0, '1 a\n10 b\n2 a\n3 c'],
  [`${LINES} | sort -n`, 0, '1 a\n2 a\n3 c\n10 b'],
  [`${LINES} | sort -rn`, 0, '10 b\n3 c\n2 a\n1 a'],
  [`${LINES} | sort -k2,2 -k1,1nr`, 0, '2 a\n1 a\n10 b\n3 c'],
  ["echo 'b:2\na:10\nb:2' | sort -u -t : -k 2n", 0, 'b:2\na:10'],
  [`${LINES} | grep -e c -e b`, 0, '3 c\n10 b'],
  [`${LINES} | grep -F -e . -e '1 a'`, 0, '1 a'],
  ['find /sys/block/pmem0/ -maxdepth 1 -name r* | sort', 0, '/sys/block/pmem0/range\n/sys/block/pmem0/removable\n/sys/block/pmem0/ro'],
  ['find /sys/devices/system/memory -maxdepth 1 -type d -name memory[01] | sort -r', 0, '/sys/devices/system/memory/memory1\n/sys/devices/system/memory/memory0'],
  ['find /dev -type b', 0, '/dev/pmem0'],
  ['find /proc/iomem -mindepth 1', 0, ''],
  ['mountpoint /proc', 0, '/proc is a mountpoint'],
  ['mountpoint -q /mnt', 1, ''],
  ['mountpoint /mnt', 1, '/mnt is not a mountpoint'],
])('%s', async (command, rc, stdout) => {
  expect(await outputs([command])).toEqual([[rc, stdout, []]]);
});

it('says what it cannot do', async () => {
  expect(await outputs(['find /nope', 'sort /nope', 'mountpoint /nope', 'sort -k 0', 'find / -newer x'])).toEqual([
    [1, '', ['find: /nope: No such file or directory']],
    [2, '', ['sort: /nope: No such file or directory']],
    [1, '', ['mountpoint: /nope: No such file or directory']],
    [1, '', ["sort: bad field specification '0'", "Try 'sort --help' for more information."]],
    [1, '', ['find: unrecognized: -newer', "Try 'find --help' for more information."]],
  ]);
});

it('knows what was mounted', async () => {
  expect((await outputs(['mkfs.ext4 -q -F /dev/pmem0; mount /dev/pmem0 /mnt; mountpoint /mnt']))[0]!.slice(0, 2)).toEqual([0, '/mnt is a mountpoint']);
});
