/** The page cache as the console's user meets it. */
import { describe, expect, it } from 'vitest';
import { bootFromOptions, createCommandRunner } from '@holdfast/cli';

/** Run lines on a machine with 64 MiB of pmem; the output of each. */
async function session(lines: readonly string[]): Promise<string[]> {
  const system = await bootFromOptions({ memory: '1G', nvdimm: ['size=64M'] });
  const { run, records } = createCommandRunner(system);
  for (const line of lines) await run(line);
  return records.map((record) => (record as { stdout?: string }).stdout ?? '');
}

const WRITE = 'echo kept | dd of=/dev/pmem0 conv=notrunc';

describe('what dd wrote', () => {
  it.each([
    { name: 'is lost while somebody else has the device open, and nobody synced', after: 'true', want: '' },
    { name: 'is kept after sync', after: 'sync', want: 'kept' },
  ])('$name', async ({ after, want }) => {
    const out = await session(['exec 3<>/dev/pmem0', WRITE, after, 'powercut', 'head -c 4 /dev/pmem0 | grep kept']);
    expect(out.at(-1)).toBe(want);
  });

  it.each([
    { name: 'blockdev --flushbufs', line: 'blockdev --flushbufs /dev/pmem0', want: 0 },
    { name: '30 s and a wake-up of the flusher', line: 'sleep 36', want: 0 },
    { name: '10 s', line: 'sleep 10', want: 4 },
    { name: 'the last close', line: 'exec 3>&-', want: 0 },
    { name: 'a sync', line: 'sync', want: 0 },
  ])('is $want kB of dirty memory after $name', async ({ line, want }) => {
    const out = await session(['exec 3<>/dev/pmem0', WRITE, line, 'grep Dirty /proc/meminfo']);
    expect(out.at(-1)).toMatch(new RegExp(`^Dirty: +${want} kB$`));
  });

  it('shows in /proc/meminfo, until it is written and dropped', async () => {
    const lines = "grep -E '^(Buffers|Dirty)' /proc/meminfo";
    const out = await session(['exec 3<>/dev/pmem0', 'dd if=/dev/zero of=/dev/pmem0 bs=4096 count=4', lines, 'sync', lines, 'echo 3 > /proc/sys/vm/drop_caches', lines]);
    const kb = (index: number): number[] => [...out[index]!.matchAll(/(\d+) kB/g)].map((match) => Number(match[1]));
    expect([kb(2), kb(4), kb(6)]).toEqual([[16, 16], [16, 0], [0, 0]]);
  });

  it('by direct I/O is on the device at once, and not in the cache', async () => {
    const out = await session(['exec 3<>/dev/pmem0', 'dd if=/dev/zero of=/dev/pmem0 bs=4096 count=4 oflag=direct', 'grep Buffers /proc/meminfo']);
    expect(out.at(-1)).toMatch(/ 0 kB/);
  });
});
