import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ndctl } from '../src/commands/ndctl/ndctl.js';
import { capturedTree } from './captured-tree.js';

const FIXTURES = new URL('fixtures/', import.meta.url);

function captured(name: string, file: string): string {
  const url = new URL(`${name}/${file}`, FIXTURES);
  return existsSync(url) ? readFileSync(url, 'utf8') : '';
}

/** Run ndctl on a captured machine's attributes. */
function run(name: string, command: string): { status: number; stdout: string; stderr: string[] } {
  const root = capturedTree({ nd: captured(name, 'nd-sysfs.txt'), dax: captured(name, 'dax-sysfs.txt'), block: captured(name, 'block.txt') });
  let stdout = '';
  const stderr: string[] = [];
  const io = {
    args: command.split(' ').slice(1),
    root,
    out: (data: string | Uint8Array) => (stdout += String(data)),
    err: (line: string) => stderr.push(...line.split('\n')),
    explain: () => {},
    refused: () => {},
  };
  const status = ndctl.run(io as unknown as Parameters<typeof ndctl.run>[0]);
  return { status: status ?? 0, stdout, stderr };
}

/** UUIDs of captures are blanked; the memory blocks of devices in use as RAM are not in these trees. */
function comparable(value: unknown): unknown {
  const text = JSON.stringify(value);
  return JSON.parse(text.replace(/"(?:raw_)?uuid":"[^"]*",/g, '').replace(/,"(?:online_memblocks|total_memblocks|movable)":\w+/g, ''));
}

describe('ndctl list', () => {
  const cases = ['d-two-dimms', 'd-multi-four', 'e-sysram-small-96m-end', 'c-1g-modes-after-sector'].flatMap((name) =>
    Object.entries(JSON.parse(captured(name, 'ndctl-list.json')) as Record<string, unknown>).map(([command, want]) => ({ name, command, want })),
  );
  it.each(cases)('prints of $name what ndctl 76.1 printed for `$command`', ({ name, command, want }) => {
    const { status, stdout } = run(name, command);
    expect(status).toBe(0);
    expect(comparable(JSON.parse(stdout))).toEqual(comparable(want));
  });

  it.each([
    ['-N -m sector', ['namespace0.2']],
    ['-N -n 0.3', ['namespace0.3']],
    ['-n namespace0.0', ['namespace0.0']],
    ['-Nc', ['namespace0.2', 'namespace0.1', 'namespace0.3', 'namespace0.0']],
    ['-X', ['namespace0.1']],
    ['-N -r region1', []],
    ['-N -t blk', []],
  ])('filters by `%s`', (options, names) => {
    const { stdout } = run('d-multi-four', `ndctl list ${options}`);
    const listed = (stdout === '' ? [] : JSON.parse(stdout)) as { dev: string }[];
    expect(listed.map(({ dev }) => dev)).toEqual(names);
  });

  it('indents as json-c does, and keeps all digits of a cookie', () => {
    const { stdout } = run('d-multi-four', 'ndctl list -R');
    expect(stdout.split('\n').slice(0, 4)).toEqual(['[', '  {', '    "dev":"region0",', '    "size":2147483648,']);
    expect(stdout).toContain('"iset_id":10248187106440278,');
  });

  it('answers -u for a single device with the device itself, in units for people', () => {
    expect(run('d-multi-four', 'ndctl list -Ru').stdout).toMatch(/^\{\n {2}"dev":"region0",\n {2}"size":"2\.00 GiB \(2\.15 GB\)",/);
  });

  it.each([
    ['list -m fast', 234, "  Error: invalid mode: 'fast'"],
    ['list -t disk', 234, '  Error: unknown type "disk" must be "pmem" or "blk"'],
    ['list --frob', 129, "  Error: unknown option `frob'"],
    ['list namespace0.0', 129, '  Error: unknown parameter "namespace0.0"'],
    ['frob', 1, "Unknown command: 'frob'"],
    ['create-namespace -m bogus', 129, "  Error: invalid mode 'bogus'"],
    ['create-namespace -a 3M', 129, '  Error: align must be a power-of-2 greater than 4096'],
    ['create-namespace -e namespace9.0 -m fsdax', 250, 'failed to reconfigure namespace: No such device or address'],
    ['create-namespace -r region7', 237, 'failed to create namespace: No such device or address'],
    ['create-namespace -t blk', 237, 'failed to create namespace: No such device or address'],
    ['create-namespace -t blk -m fsdax', 129, "  Error: only 'pmem' namespaces support dax operation"],
    ['create-namespace -s 17M', 234, '  Error: create namespace: region0: align setting is 0x1000000 size 0x1100000 is misaligned'],
    ['create-namespace -s 16M -a 1G', 234, "  Error: create namespace: '--size=' must align to interleave-width: 1 and alignment: 1073741824"],
    ['create-namespace -s 5G', 237, 'failed to create namespace: No space left on device'],
    ['destroy-namespace namespace0.0', 240, '  Error: namespace0.0 is active, specify --force for re-configuration'],
    ['disable-region', 129, '  Error: specify a specific region id to act on, or "all"'],
    ['init-labels dimm0', 129, "'dimm0' is not a valid dimm name"],
    ['inject-error namespace0.0 -B 0', 234, '  Error: block and count required for inject/uninject'],
  ])('refuses `%s` with status %i', (command, status, line) => {
    const result = run('d-multi-four', `ndctl ${command}`);
    expect([result.status, result.stderr[0]]).toEqual([status, line]);
  });

  it('prints the usage that the captured ndctl printed', () => {
    const { stderr } = run('d-multi-four', 'ndctl create-namespace -m bogus');
    expect(stderr.slice(1, 9)).toEqual([
      '', '', ' usage: ndctl create-namespace [<options>]', '',
      '    -b, --bus <bus-id>    limit namespace to a bus with an id or provider of <bus-id>',
      '    -r, --region <region-id>',
      '                          limit namespace to a region with an id or name of <region-id>',
      '    -v, --verbose         emit extra debug messages to stderr',
    ]);
  });
});
