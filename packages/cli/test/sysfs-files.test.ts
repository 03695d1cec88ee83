/** The files that every device, disk, memory block and node has beside its own: as a real 6.1 shows them on 64 MiB of legacy pmem at 1 GiB. */
import { describe, expect, it } from 'vitest';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';

async function run(...commands: string[]): Promise<{ rc: number; out: string; err: string[]; dmesg: string[] }[]> {
  const system = await bootFromOptions({ memory: '2G', cmdline: 'memmap=64M!1G' });
  try {
    const runner = createCommandRunner(system);
    for (const command of commands) await runner.run(command);
    return (runner.records as CommandRecord[]).map(({ rc, stdout, stderr, dmesg }) => ({ rc, out: stdout as string, err: stderr, dmesg: [...(dmesg ?? [])] }));
  } finally {
    system.close();
  }
}

const DISK = '/sys/block/pmem0';
const ND = '/sys/bus/nd/devices';
const SYSTEM = '/sys/devices/system';
const zeros = (text: string): string => text.split(' ').map((word) => word.padStart(8)).join(' ');

it.each<[string, string]>([
  [`cat ${DISK}/uevent`, 'MAJOR=259\nMINOR=0\nDEVNAME=pmem0\nDEVTYPE=disk\nDISKSEQ=1'],
  [`cat ${ND}/region0/uevent`, 'DEVTYPE=nd_pmem\nDRIVER=nd_region\nMODALIAS=nd:t2'],
  [`cat ${ND}/namespace0.0/uevent`, 'DEVTYPE=nd_namespace_io\nDRIVER=nd_pmem\nMODALIAS=nd:t4'],
  [`cat ${ND}/ndbus0/uevent`, 'DRIVER=nd_bus\nMODALIAS=nd:t0'],
  [`cat ${ND}/btt0.0/uevent ${ND}/dax0.0/uevent`, 'DEVTYPE=nd_btt\nMODALIAS=nd:t4\nDEVTYPE=nd_dax\nMODALIAS=nd:t7'],
  ['cat /sys/class/nd/ndctl0/uevent', 'MAJOR=246\nMINOR=0\nDEVNAME=ndctl0'],
  [`cat ${DISK}/inflight ${DISK}/events ${DISK}/events_async ${DISK}/events_poll_msecs ${DISK}/ext_range ${DISK}/hidden ${DISK}/range ${DISK}/diskseq`, `${zeros('0 0')}\n-1\n256\n0\n0\n1`],
  [`readlink ${DISK}/bdi`, '../../../../../../../virtual/bdi/259:0'],
  [`ls ${DISK}/bdi/ ${DISK}/trace`, `${DISK}/bdi/:\nmax_ratio\nmin_ratio\npower\nread_ahead_kb\nstable_pages_required\nsubsystem\nuevent\n\n${DISK}/trace:\nact_mask\nenable\nend_lba\npid\nstart_lba`],
  [`cat ${DISK}/trace/enable ${DISK}/trace/pid ${DISK}/power/async ${DISK}/power/control ${DISK}/power/runtime_status`, '0\ndisabled\ndisabled\nauto\nunsupported'],
  [`echo 100 > ${DISK}/queue/wbt_lat_usec; cat ${DISK}/queue/wbt_lat_usec`, '100'],
  [`ls ${ND}/namespace0.0 | grep -e power -e uevent`, 'uevent'],
  [`ls ${ND}/ndbus0`, 'commands\ndriver\nfirmware\nnd\nprovider\nregion0\nsubsystem\nuevent\nwait_probe'],
  [`ls ${SYSTEM}/memory/memory3`, 'node0\nonline\nphys_device\nphys_index\npower\nremovable\nstate\nsubsystem\nuevent\nvalid_zones'],
  [`readlink ${SYSTEM}/memory/memory3/subsystem ${SYSTEM}/node/node0/subsystem ${SYSTEM}/node/node0/cpu0`, '../../../../bus/memory\n../../../../bus/node\n../../cpu/cpu0'],
  [`cat ${SYSTEM}/node/node0/cpulist ${SYSTEM}/node/node0/cpumap ${SYSTEM}/node/node0/distance`, '0\n1\n10'],
  [`cut -d' ' -f1 ${SYSTEM}/node/node0/numastat`, 'numa_hit\nnuma_miss\nnuma_foreign\ninterleave_hit\nlocal_node\nother_node'],
  [`head -n 2 ${SYSTEM}/node/node0/vmstat | cut -d' ' -f1`, 'nr_free_pages\nnr_zone_inactive_anon'],
  [`echo 1 > ${SYSTEM}/node/node0/compact`, ''],
  ['ls -d /sys/class/*/', '/sys/class/bdi/\n/sys/class/block/\n/sys/class/nd/'],
])('%s', async (command, out) => {
  expect(await run(command)).toMatchObject([{ rc: 0, out, err: [] }]);
});

it.each<[string, number, string[], string[]]>([
  [`cat ${DISK}/power/autosuspend_delay_ms`, 1, ['cat: read error: Input/output error'], []],
  [`cat ${DISK}/queue/wbt_lat_usec`, 1, ['cat: read error: Invalid argument'], []],
  [`echo zz > ${SYSTEM}/memory/soft_offline_page`, 1, ['sh: write error: Invalid argument'], []],
  ['cat /sys/bus/nd/uevent', 1, ["cat: can't open '/sys/bus/nd/uevent': Permission denied"], []],
  [`echo bogus > ${ND}/region0/uevent`, 1, ['sh: write error: Invalid argument'], ['synth uevent: /devices/platform/e820_pmem/ndbus0/region0: unknown uevent action string', 'nd_region region0: uevent: failed to send synthetic uevent: -22']],
])('%s', async (command, rc, err, dmesg) => {
  expect(await run(command)).toMatchObject([{ rc, out: '', err, dmesg }]);
});

it('tells once that an attribute is no more', async () => {
  const read = `cat ${DISK}/bdi/stable_pages_required`;
  const line = 'bdi 259:0: the stable_pages_required attribute has been removed. Use the stable_writes queue attribute instead.';
  expect((await run(read, read)).map(({ out, dmesg }) => [out, dmesg])).toEqual([['0', [line]], ['0', []]]);
});

describe('counts of I/O', () => {
  const stat = `cat ${DISK}/stat`;

  it('stay zero until iostats is on, and then count each bio', async () => {
    const said = await run(
      `dd if=/dev/zero of=/dev/pmem0 bs=4096 count=3 oflag=direct; ${stat}`, `echo 1 > ${DISK}/queue/iostats; dd if=/dev/zero of=/dev/pmem0 bs=4096 count=3 oflag=direct; ${stat}`,
      `dd if=/dev/pmem0 of=/dev/null bs=4096 count=2 iflag=direct; ${stat}`, `dd if=/dev/zero of=/dev/pmem0 bs=4096 count=300; ${stat}`,
      `dd if=/dev/zero of=/dev/pmem0 bs=4096 count=2 conv=fsync; ${stat}`, 'cat /proc/diskstats',
    );
    expect(said.map(({ out }) => out)).toEqual([
      zeros('0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0'), zeros('0 0 0 0 3 0 24 0 0 0 0 0 0 0 0 0 0'), zeros('2 0 16 0 3 0 24 0 0 0 0 0 0 0 0 0 0'),
      zeros('2 0 16 0 303 0 2424 0 0 0 0 0 0 0 0 0 0'), zeros('2 0 16 0 306 0 2440 0 0 0 0 0 0 0 0 0 0'), ' 259       0 pmem0 2 0 16 0 306 0 2440 0 0 0 0 0 0 0 0 0 0',
    ]);
  });

  it('are new with each disk, whose sequence number goes on', async () => {
    const said = await run('ndctl create-namespace -f -e namespace0.0 -m sector > /dev/null', 'cat /sys/block/pmem0s/uevent');
    expect(said[1]!.out).toBe('MAJOR=259\nMINOR=0\nDEVNAME=pmem0s\nDEVTYPE=disk\nDISKSEQ=3');
  });
});
