/**
 * A refusal is worth its rule and a way out. Each request of the table is refused, says why, and each request that it is told to try
 * instead really works: on a machine that was brought to the same state again, or on one that is booted as advised.
 */
import { describe, expect, it } from 'vitest';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';
import type { BootCommandOptions } from '../src/boot-command.js';

interface Refusal {
  /** What is run before it. */
  readonly first?: readonly string[];
  /** The request, or several of them. */
  readonly ask: string | readonly string[];
  /** Nothing near would do: then only the rule is given. */
  readonly hopeless?: true;
}

const LEGACY: BootCommandOptions = { memory: '8G', cmdline: 'memmap=2G!4G' };
const LABELLED: BootCommandOptions = { memory: '2G', nvdimm: ['size=1G,label=128K'], ars: true };
const SOFT_RESERVED: BootCommandOptions = { memory: '8G', cmdline: 'memmap=1G%4G-1+0xefffffff' };

const ND = '/sys/bus/nd';
const DAX = '/sys/bus/dax';
const MEMORY = '/sys/devices/system/memory';
const DEVDAX = 'ndctl create-namespace -f -e namespace0.0 -m devdax';
const DISABLED = 'ndctl disable-namespace namespace0.0';

const MACHINES: readonly { readonly name: string; readonly options: BootCommandOptions; readonly refusals: readonly Refusal[] }[] = [
  {
    name: 'legacy persistent memory',
    options: LEGACY,
    refusals: [
      {
        ask: [
          'ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev -a 2G',
          'ndctl create-namespace -f -e namespace0.0 -m fsdax -a 3M',
          'ndctl create-namespace -f -e namespace0.0 -m nvram',
          'ndctl create-namespace -f -e namespace0.0 -s 512M',
          'ndctl create-namespace -f -e namespace0.0 -m raw -M dev',
          'ndctl create-namespace -f -e namespace0.0 -m raw -a 2M',
          'ndctl create-namespace -f -e namespace0.0 -m sector -l 1024',
          'ndctl create-namespace -e namespace0.0 -m devdax',
          'ndctl create-namespace -m devdax',
          'ndctl destroy-namespace namespace0.0',
          `echo 3000 > ${ND}/devices/region0/align`,
          `echo 0 > ${ND}/devices/region0/align`,
          `echo maybe > ${ND}/devices/namespace0.0/force_raw`,
          `echo namespace0.0 > ${ND}/drivers/nd_pmem/bind`,
          `echo namespace0.0 > ${ND}/drivers/dax_pmem/unbind`,
          `echo pfn > ${ND}/devices/namespace0.0/holder_class`,
          `echo namespace9.9 > ${ND}/devices/pfn0.0/namespace`,
          `echo pmem0 > ${ND}/devices/pfn0.0/namespace`,
          `echo fast > ${ND}/devices/pfn0.0/mode`,
          `echo 8192 > ${ND}/devices/pfn0.0/align`,
          `echo 1000 > ${ND}/devices/btt0.0/sector_size`,
          `echo pfn0.0 > ${ND}/drivers/nd_pmem/bind`,
          `echo btt0.0 > ${ND}/drivers/nd_pmem/bind`,
        ],
      },
      { first: [`echo namespace0.0 > ${ND}/devices/pfn0.0/namespace`], ask: `echo pfn0.0 > ${ND}/drivers/nd_pmem/bind` },
      { ask: 'ndctl check-namespace namespace0.0', hopeless: true },
      { first: ['ndctl create-namespace -f -e namespace0.0 -m sector'], ask: 'ndctl check-namespace namespace0.0' },
      { ask: [`echo ram > ${ND}/devices/pfn0.0/mode`], first: ['ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev'] },
      { first: [DISABLED, `echo namespace0.0 > ${ND}/devices/pfn0.0/namespace`], ask: [`echo namespace0.0 > ${ND}/devices/btt0.0/namespace`, `echo namespace0.0 > ${ND}/devices/pfn0.0/namespace`, 'ndctl enable-namespace namespace0.0'] },
      { first: ['ndctl disable-region region0'], ask: ['ndctl create-namespace -m raw -r region0'] },
      { first: [DEVDAX], ask: [`echo 4096 > ${ND}/devices/dax0.0/align`, 'ndctl destroy-namespace namespace0.0', 'daxctl online-memory dax0.0', 'probe mmap /dev/dax0.0 0 4096 shared', 'probe mmap /dev/dax0.0 0 2097152 private'] },
    ],
  },
  { name: 'a legacy range of 1 GiB', options: { memory: '8G', cmdline: 'memmap=1G!4G' }, refusals: [{ ask: 'ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev -a 1G' }] },
  { name: 'a legacy range of 1 GiB off the 1 GiB grid', options: { memory: '8G', cmdline: 'memmap=1G!4160M' }, refusals: [{ ask: ['ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev -a 1G', 'ndctl create-namespace -f -e namespace0.0 -m devdax -a 1G'] }] },
  { name: 'a legacy range of 100 MiB', options: { memory: '8G', cmdline: 'memmap=100M!4G' }, refusals: [{ ask: ['ndctl create-namespace -f -e namespace0.0 -m raw', 'ndctl create-namespace -f -e namespace0.0 -m fsdax'] }] },
  { name: 'a legacy range of 4 MiB', options: { memory: '8G', cmdline: 'memmap=4M!4G' }, refusals: [{ ask: ['ndctl create-namespace -f -e namespace0.0 -m sector'] }] },
  { name: 'a legacy range off the 2 MiB grid', options: { memory: '8G', cmdline: 'memmap=512M!0x100010000' }, refusals: [{ ask: ['ndctl create-namespace -f -e namespace0.0 -m devdax'] }] },
  {
    name: 'NVDIMMs with labels',
    options: LABELLED,
    refusals: [
      {
        first: [DEVDAX, 'ndctl read-labels nmem0 > /tmp/labels'],
        ask: [
          'ndctl create-namespace -m fsdax',
          'ndctl create-namespace -m fsdax -s 2G',
          'ndctl disable-dimm nmem0',
          'ndctl zero-labels nmem0',
          'ndctl init-labels nmem0',
          'ndctl init-labels -V 3 nmem0',
          'ndctl write-labels -i /tmp/labels nmem0',
          `echo 4096 > ${ND}/devices/namespace0.0/sector_size`,
          `echo 536870912 > ${ND}/devices/namespace0.0/size`,
        ],
      },
      {
        first: [DEVDAX, 'ndctl destroy-namespace -f namespace0.0', 'ndctl create-namespace -m fsdax -s 512M'],
        ask: [
          'ndctl create-namespace -m fsdax -s 1G',
          'ndctl create-namespace -m fsdax -s 100M',
          'ndctl create-namespace -m devdax -s 4M',
          'ndctl create-namespace -m sector -s 4M',
          `echo 0x1000000 > ${ND}/devices/namespace0.1/size`,
          `echo big > ${ND}/devices/namespace0.1/holder_class`,
          `echo 1000 > ${ND}/devices/namespace0.1/sector_size`,
        ],
      },
      {
        first: [DEVDAX, 'ndctl destroy-namespace -f namespace0.0', `echo 00000000-0000-4000-8000-000000000001 > ${ND}/devices/namespace0.0/uuid`],
        ask: [`echo 1000 > ${ND}/devices/namespace0.0/size`, `echo 4294967296 > ${ND}/devices/namespace0.0/size`],
      },
      { first: [DEVDAX, 'ndctl disable-region region0'], ask: 'ndctl init-labels nmem0' },
      { first: ['ndctl disable-region region0'], ask: [`cat ${ND}/devices/region0/badblocks`, 'ndctl create-namespace -m raw -r region0'] },
      { ask: ['ndctl create-namespace -f -e namespace0.0 -m fsdax -s 512M'] },
      { first: [DEVDAX, 'ndctl disable-region region0', 'ndctl disable-dimm nmem0'], ask: ['ndctl enable-region region0'] },
    ],
  },
  {
    name: 'soft-reserved memory as device-dax',
    options: SOFT_RESERVED,
    refusals: [
      {
        ask: [
          'daxctl create-device -r 0',
          'daxctl reconfigure-device -s 512M dax0.0',
          'daxctl reconfigure-device -a 4K dax0.0',
          'daxctl reconfigure-device -m ram dax0.0',
          'daxctl online-memory dax0.0',
          'daxctl destroy-device dax0.0',
          `echo 1 > ${DAX}/devices/dax0.0/../dax_region/create`,
          `echo dax0.0 > ${DAX}/devices/dax0.0/../dax_region/delete`,
          `echo dax0.0 > ${DAX}/drivers/kmem/bind`,
          `echo dax0.0 > ${DAX}/drivers/device_dax/bind`,
          `echo dax0.0 > ${DAX}/drivers/kmem/unbind`,
          `echo dax > ${DAX}/drivers/kmem/remove_id`,
          'probe mmap /dev/dax0.0 0 4096 shared',
        ],
      },
      {
        first: ['daxctl disable-device dax0.0'],
        ask: [
          'daxctl reconfigure-device -s 3000000 dax0.0',
          'daxctl reconfigure-device -s 2G dax0.0',
          `echo 8192 > ${DAX}/devices/dax0.0/align`,
          `echo 0x1000 > ${DAX}/devices/dax0.0/size`,
          `echo dax0.0 > ${DAX}/drivers/kmem/bind`,
          'probe mmap /dev/dax0.0 0 2097152 shared',
        ],
      },
      {
        first: ['daxctl disable-device dax0.0', 'daxctl reconfigure-device -s 512M dax0.0'],
        ask: [`echo 0x100000000-0x1000fffff > ${DAX}/devices/dax0.0/mapping`, `echo 2 > ${DAX}/devices/dax0.0/../dax_region/create`, `echo 0x100000000-0x1001fffff > ${DAX}/devices/dax0.0/mapping`, `echo nowhere > ${DAX}/devices/dax0.0/mapping`],
      },
      { first: ['daxctl disable-device dax0.0', 'daxctl reconfigure-device -s 514M dax0.0'], ask: ['daxctl reconfigure-device -a 1G dax0.0'] },
      { first: ['daxctl disable-device dax0.0', 'daxctl reconfigure-device -s 512M dax0.0', `echo 1 > ${DAX}/devices/dax0.0/../dax_region/create`], ask: [`echo dax0.1 > ${DAX}/drivers/device_dax/bind`] },
      { first: [`echo online > ${MEMORY}/auto_online_blocks`], ask: ['daxctl reconfigure-device --mode=system-ram dax0.0'] },
      { first: ['daxctl reconfigure-device --mode=system-ram dax0.0'], ask: ['daxctl reconfigure-device --mode=devdax dax0.0', 'daxctl disable-device dax0.0', 'probe mmap /dev/dax0.0 0 2097152 shared'] },
    ],
  },
  {
    name: 'memory blocks',
    options: { memory: '4G', cmdline: 'movablecore=1G' },
    refusals: [
      {
        ask: [
          `echo online > ${MEMORY}/memory2/state`,
          `echo Online > ${MEMORY}/memory2/state`,
          `echo 2 > ${MEMORY}/memory2/online`,
          `echo sometimes > ${MEMORY}/auto_online_blocks`,
          `echo 0x140000001 > ${MEMORY}/probe`,
          `echo 0x100000000 > ${MEMORY}/probe`,
        ],
      },
      { ask: [`echo offline > ${MEMORY}/memory0/state`, `echo 0 > ${MEMORY}/memory0/online`] },
      { first: [`echo offline > ${MEMORY}/memory33/state`], ask: [`echo Online > ${MEMORY}/memory33/state`] },
    ],
  },
  {
    name: 'memory blocks of odd RAM',
    options: { memory: '1000M', cmdline: 'movablecore=512M' },
    refusals: [{ ask: [`echo offline > ${MEMORY}/memory7/state`, `echo 0 > ${MEMORY}/memory7/online`] }],
  },
  {
    name: 'memory blocks, none of them movable',
    options: { memory: '1000M' },
    refusals: [{ ask: [`echo offline > ${MEMORY}/memory0/state`, `echo offline > ${MEMORY}/memory7/state`], hopeless: true }],
  },
];

async function boot(options: BootCommandOptions, commands: readonly string[]): Promise<CommandRecord[]> {
  const system = await bootFromOptions(options);
  const runner = createCommandRunner(system);
  for (const command of commands) await runner.run(command);
  system.close();
  return runner.records.filter((record): record is CommandRecord => 'rc' in record);
}

describe.each(MACHINES)('$name:', ({ options, refusals }) => {
  const requests = refusals.flatMap(({ first = [], ask, hopeless = false }) => [ask].flat().map((request) => ({ first, request, hopeless })));
  it.each(requests)('$request', async ({ first, request, hopeless }) => {
    const records = await boot(options, [...first, request]);
    expect(records.slice(0, -1).map(({ rc }) => rc)).toEqual(first.map(() => 0));
    const refused = records.at(-1)!;
    const { why = [] } = refused;
    expect(why.length, `it is refused, and says why: ${JSON.stringify(refused)}`).toBeGreaterThan(0);
    const nearest = why.flatMap((each) => each.nearest ?? []);
    expect(nearest.length > 0, JSON.stringify(why)).toBe(!hopeless);
    for (const next of nearest) expect([next, await works(options, first, request, next)]).toEqual([next, 'works']);
  });
});

async function works(options: BootCommandOptions, first: readonly string[], request: string, next: string): Promise<string> {
  const otherBoot = /^boot with (.*)$/.exec(next)?.[1];
  const records = otherBoot === undefined ? await boot(options, [...first, next]) : await boot({ ...options, cmdline: otherBoot }, [...first, request]);
  const { rc, stderr, why } = records.at(-1)!;
  return rc === 0 && !why ? 'works' : `status ${rc}: ${stderr.join(' / ')} ${JSON.stringify(why)}`;
}
