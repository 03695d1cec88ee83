/** Labels through ndctl, where the captures are silent; what lies on the media afterwards is read back by other commands. */
import { describe, expect, it } from 'vitest';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';

async function records(commands: readonly string[]): Promise<CommandRecord[]> {
  const system = await bootFromOptions({ memory: '4G', nvdimm: ['size=1G,label=128K'] });
  const runner = createCommandRunner(system);
  for (const command of commands) await runner.run(command);
  system.close();
  return runner.records as CommandRecord[];
}

interface LabelArea {
  index: { signature: string; minor: number; labelsize: number; seq: number; nslot: number }[];
  label: { uuid: string; slot: number; flags: number; rawsize: number; lbasize: number; type_guid?: string; abstraction_guid?: string }[];
}

function areaOf({ stdout }: CommandRecord): LabelArea {
  return (stdout as unknown as LabelArea[])[0]!;
}

describe('ndctl and labels', () => {
  it('a reconfigured namespace without labels gets v1.2 labels and a seed beside it', async () => {
    const [created, listed, read] = await records(['ndctl create-namespace -f -e namespace0.0 -m devdax', 'ndctl list -Ni', 'ndctl read-labels -j nmem0']);
    expect(created).toMatchObject({ rc: 0, stdout: { dev: 'namespace0.0', mode: 'devdax', align: 2097152 } });
    expect((listed!.stdout as { dev: string; size: number }[]).map(({ dev, size }) => [dev, size])).toEqual([['namespace0.1', 0], ['namespace0.0', 1054867456]]);
    const { index, label } = areaOf(read!);
    expect(index.map(({ minor, labelsize, nslot }) => [minor, labelsize, nslot])).toEqual([[2, 256, 510], [2, 256, 510]]);
    expect(label.filter(({ flags }) => flags === 0)).toMatchObject([{ slot: 1, lbasize: 0, rawsize: 1073741824, type_guid: '79d3f066-f3b4-7440-ac43-0d3318b78cdb' }]);
  });

  it('with -v says which commands it gave the firmware', async () => {
    const command = (name: string, total?: number): string => `libndctl: do_cmd: bus: 0 dimm: 0x1 cmd: ${name}${total === undefined ? '' : ` total: ${total} max_xfer: 4076`} status: 0 fw: 0 (success)`;
    const results = await records(['ndctl disable-region region0', 'ndctl init-labels -v -f nmem0', 'ndctl zero-labels -v -s 4096 nmem0', 'ndctl read-labels -v -I nmem0', 'ndctl check-labels -v nmem0']);
    const given = results.map(({ stderr }) => stderr.filter((line) => line.includes('do_cmd')));
    const read = (total: number): string[] => [command('get_size'), command('get_data', total)];
    const index = [...read(512), command('set_data', 512), command('set_data', 512)];
    expect(given).toEqual([[], index, [...read(4096), command('set_data', 4096)], read(512), read(512)]);
    const [autolabelled] = await records(['ndctl create-namespace -f -v -e namespace0.0 -m raw']);
    expect(autolabelled!.stderr.filter((line) => line.includes('do_cmd'))).toEqual(index);
  });

  it('write-labels takes as much as fits of a file without an end', async () => {
    const results = await records(['ndctl disable-region region0', 'ndctl write-labels -i /dev/zero nmem0', 'ndctl check-labels nmem0']);
    expect(results.map(({ rc, stderr }) => [rc, stderr[0]])).toEqual([[0, 'disabled 1 region'], [0, 'wrote 1 nmem'], [1, 'successfully verified 0 nmem label']]);
  });

  it('refuses to touch the labels that a region goes by', async () => {
    const results = await records(['ndctl zero-labels nmem0', 'ndctl init-labels nmem0', 'ndctl disable-dimm nmem0', 'ndctl check-labels nmem0']);
    expect(results.map(({ rc, stderr }) => [rc, stderr])).toEqual([
      [1, ['nmem0: regions active, abort label write', 'zeroed 0 nmem']],
      [1, ['nmem0: regions active, abort label write', 'initialized 0 nmem']],
      [1, ['nmem0 is active, skipping...', 'disabled 0 nmem']],
      [1, ['successfully verified 0 nmem label']],
    ]);
  });

  it('writes an area back that it read before, and zeroes one', async () => {
    const results = await records([
      'ndctl disable-region region0',
      'ndctl init-labels -V 1.2 nmem0',
      'ndctl enable-region region0',
      'ndctl create-namespace -m raw -s 64M -n kept',
      'ndctl read-labels nmem0 > /tmp/area',
      'ndctl disable-region region0',
      'ndctl init-labels nmem0',
      'ndctl zero-labels nmem0',
      'ndctl check-labels nmem0',
      'ndctl write-labels -i /tmp/area nmem0',
      'ndctl check-labels nmem0',
      'ndctl enable-region region0',
      'ndctl list -N',
    ]);
    expect(results.map(({ rc }) => rc)).toEqual([0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    expect(results[6]!.stderr).toEqual(['nmem0: error: labels already initialized', 'initialized 0 nmem']);
    expect(results[10]!.stderr).toEqual(['successfully verified 1 nmem label']);
    expect(results[12]!.stdout).toMatchObject([{ mode: 'raw', size: 67108864, name: 'kept', blockdev: 'pmem0' }]);
  });

  it('takes a UUID and a name that are given', async () => {
    const uuid = '01234567-89ab-4def-8123-456789abcdef';
    const [, created, again] = await records([
      'ndctl disable-region region0; ndctl init-labels -f nmem0; ndctl enable-region region0',
      `ndctl create-namespace -m raw -s 64M -u ${uuid} -n named`,
      `ndctl create-namespace -m raw -s 64M -u ${uuid}`,
    ]);
    expect(created).toMatchObject({ rc: 0, stdout: { uuid, name: 'named' } });
    expect(again).toMatchObject({ rc: 234, stderr: expect.arrayContaining(['  Error: create namespace: namespace0.1: set_uuid failed: Invalid argument']) as unknown });
  });

  it('fills a region with -c', async () => {
    const [, all, listed] = await records(['ndctl disable-region region0; ndctl init-labels -f nmem0; ndctl enable-region region0', 'ndctl create-namespace -c -m raw -s 1G', 'ndctl list -N']);
    expect(all).toMatchObject({ rc: 0, stderr: ['created 1 namespace'] });
    expect(listed!.stdout).toHaveLength(1);
  });
});
