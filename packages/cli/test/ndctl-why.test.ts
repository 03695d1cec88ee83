/** Each refusal is Linux's to the letter, and beside it stands the rule that fired and what would do instead. */
import { describe, expect, it } from 'vitest';
import { MIB } from '@holdfast/lib';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';

async function records(cmdline: string, commands: readonly string[], kernel = '6.1'): Promise<CommandRecord[]> {
  const system = await bootFromOptions({ memory: '8G', cmdline, kernel });
  const runner = createCommandRunner(system);
  for (const command of commands) await runner.run(command);
  system.close();
  return runner.records.filter((record): record is CommandRecord => 'rc' in record);
}

describe('why create-namespace is refused', () => {
  it('names the kernel that is too old here for device-dax', async () => {
    const [record] = await records('memmap=1G!4G', ['ndctl create-namespace -f -e namespace0.0 -m devdax'], '4.9');
    expect(record!.why).toEqual([{ rule: expect.stringContaining('from Linux 5.1 on') as string, nearest: ['boot with --kernel 6.1'] }]);
    const [, after] = await records('memmap=1G!4G', ['true', 'ndctl create-namespace -f -e namespace0.0 -m devdax'], '6.1');
    expect([after!.rc, after!.why]).toEqual([0, undefined]);
  });

  it.each([
    {
      name: 'an alignment that leaves no room behind the struct pages',
      cmdline: 'memmap=1G!4G', command: 'create-namespace -f -e namespace0.0 -m fsdax -M dev -a 1G', rc: 250,
      last: 'failed to reconfigure namespace: No such device or address',
      rule: /metadata rounded up to 1073741824 leaves nothing of 1073741824 bytes/, nearest: ['ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev -a 2097152', 'boot with memmap=2G!4G'],
    },
    {
      name: 'a size that is no multiple of the alignment',
      cmdline: 'memmap=512M!4G', command: 'create-namespace -f -e namespace0.0 -m fsdax -a 1G', rc: 234,
      last: 'did you intend --size=1073741824?',
      rule: /over 1 DIMM, has a multiple of 1073741824 bytes/, nearest: ['ndctl create-namespace -f -e namespace0.0 -m fsdax -a 2097152', 'boot with memmap=1G!4G'],
    },
    {
      name: 'a region that is no multiple of its own alignment',
      cmdline: 'memmap=100M!4G', command: 'create-namespace -f -e namespace0.0 -m raw', rc: 234,
      last: '  Error: create namespace: region0: align setting is 0x1000000 size 0x6400000 is misaligned',
      rule: /multiples of its align, 16777216 bytes; 104857600 is not/, nearest: ['echo 4194304 > /sys/bus/nd/devices/region0/align && ndctl create-namespace -f -e namespace0.0 -m raw', 'boot with memmap=112M!4G'],
    },
    {
      name: 'a namespace that is too small for anything but raw',
      cmdline: 'memmap=4M!4G', command: 'create-namespace -f -e namespace0.0 -m sector', rc: 234,
      last: 'failed to reconfigure namespace: Invalid argument',
      rule: /lets nothing hold one below 16 MiB/, nearest: ['ndctl create-namespace -f -e namespace0.0 -m raw', 'boot with memmap=32M!4G'],
    },
    {
      name: 'a namespace in use',
      cmdline: 'memmap=1G!4G', command: 'create-namespace -e namespace0.0 -m devdax', rc: 240,
      last: 'failed to reconfigure namespace: Device or resource busy',
      rule: /namespace0\.0 is in use/, nearest: ['ndctl create-namespace -e namespace0.0 -m devdax -f', 'ndctl disable-namespace namespace0.0 && ndctl create-namespace -e namespace0.0 -m devdax'],
    },
    {
      name: 'a part of a region without labels',
      cmdline: 'memmap=1G!4G', command: 'create-namespace -f -e namespace0.0 -s 512M', rc: 234,
      last: 'failed to reconfigure namespace: Invalid argument',
      rule: /has no labels, so its one namespace spans all/, nearest: ['ndctl create-namespace -f -e namespace0.0'],
    },
    {
      name: 'a range where struct pages would begin inside a sub-section',
      cmdline: 'memmap=512M!0x100010000', command: 'create-namespace -f -e namespace0.0 -m fsdax -M dev -a 4K', rc: 250,
      last: 'failed to reconfigure namespace: No such device or address',
      rule: /must begin on 2097152/, nearest: ['boot with memmap=512M!4098M'],
    },
  ])('$name', async ({ cmdline, command, rc, last, rule, nearest }) => {
    const [record] = await records(cmdline, [`ndctl ${command}`]);
    expect([record!.rc, record!.stderr.findLast((line) => line !== '')]).toEqual([rc, last]);
    const why = record!.why?.find((each) => rule.test(each.rule));
    expect(why, JSON.stringify(record!.why)).toBeDefined();
    expect(why!.nearest).toEqual(nearest);
  });

  it('is left out where a command succeeds, and the nearest request does', async () => {
    const [refused, done] = await records('memmap=1G!4G', ['ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev -a 1G', 'ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev --align=2097152']);
    expect(refused!.why).toBeDefined();
    expect(done).toMatchObject({ rc: 0, stdout: { mode: 'fsdax', map: 'dev', size: 1006 * MIB } });
    expect(done).not.toHaveProperty('why');
  });
});

it('the same seed makes the same UUIDs, and another one others', async () => {
  const uuids = await Promise.all(['1', '1', '2'].map(async (seed) => {
    const system = await bootFromOptions({ memory: '1G', nvdimm: ['size=1G'], seed });
    const runner = createCommandRunner(system);
    await runner.run('ndctl create-namespace -f -e namespace0.0 -m devdax');
    system.close();
    return (runner.records[0] as unknown as { stdout: { uuid: string } }).stdout.uuid;
  }));
  expect(uuids[0]).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  expect(uuids[1]).toBe(uuids[0]);
  expect(uuids[2]).not.toBe(uuids[0]);
});

it.each([
  ['the first, from its copy at the end', 1, { seek: [1], says: ['end-of-arena offset 0x3fff000', 'Restoring BTT info block at offset 0x1000'], rc: 0 }],
  ['both: none is found', 1, { seek: [1, 16383], says: ['estimated arenas: 1, remaining bytes: 0', 'Unable to recover any BTT info blocks'], rc: 250 }],
])('a check recovers info blocks: %s', async (_what, count, { seek, says, rc }) => {
  const results = await records('memmap=64M!4G', [
    'ndctl create-namespace -f -e namespace0.0 -m sector',
    'ndctl disable-namespace namespace0.0',
    'echo 1 > /sys/bus/nd/devices/namespace0.0/force_raw; echo namespace0.0 > /sys/bus/nd/drivers/nd_pmem/bind',
    ...seek.map((block) => `dd if=/dev/zero of=/dev/pmem0 bs=4096 seek=${block} count=${count} conv=fsync,notrunc`),
    'ndctl disable-namespace namespace0.0',
    'ndctl check-namespace -v namespace0.0',
    'ndctl check-namespace -v --repair namespace0.0',
    'ndctl check-namespace namespace0.0',
  ]);
  const [look, repair, after] = results.slice(-3);
  expect(look!.rc).toBe(250);
  expect(repair!.stderr.join('\n')).toContain(says[0]);
  expect(repair!.stderr.join('\n')).toContain(says[1]);
  expect([repair!.rc, after!.rc]).toEqual([rc, rc]);
});

it('a namespace that is checked, broken and repaired comes back whole', async () => {
  const results = await records('memmap=64M!4G', [
    'ndctl create-namespace -f -e namespace0.0 -m sector',
    'ndctl check-namespace namespace0.0',
    'ndctl check-namespace -f namespace0.0',
    'ndctl disable-namespace namespace0.0',
    'echo 1 > /sys/bus/nd/devices/namespace0.0/force_raw',
    'echo namespace0.0 > /sys/bus/nd/drivers/nd_pmem/bind',
    'dd if=/dev/zero of=/dev/pmem0 bs=4096 seek=16383 count=1 conv=fsync,notrunc', // the copy of the info block
    'ndctl disable-namespace namespace0.0',
    'ndctl check-namespace namespace0.0',
    'ndctl check-namespace --repair namespace0.0',
    'ndctl check-namespace -v namespace0.0',
  ]);
  expect(results.map(({ rc }) => rc)).toEqual([0, 240, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(results[8]!.stderr[0]).toMatch(/BTT info2 needs to be restored/);
  expect(results[10]!.stderr.join('\n')).not.toMatch(/info2/);
});
