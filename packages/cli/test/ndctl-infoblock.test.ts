import { MIB } from '@holdfast/lib';
import { decodeInfoBlock, superBlockChecksum } from '@holdfast/nvdimm';
import { afterEach, describe, expect, it } from 'vitest';
import { type BootCommandOptions, bootFromOptions } from '../src/boot-command.js';
import { createCommandRunner } from '../src/run-commands.js';
import type { System } from '../src/system.js';

let open: System | undefined;
afterEach(() => {
  open?.close();
  open = undefined;
});

interface Answer {
  readonly out: string;
  readonly err: string;
  readonly rc: number;
}

async function boot(options: BootCommandOptions): Promise<(command: string) => Promise<Answer>> {
  const system = await bootFromOptions(options);
  open = system;
  return async (command) => {
    let [out, err] = ['', ''];
    const runner = createCommandRunner(system, { output: { out: (data) => (out += Buffer.from(data).toString('latin1')), err: (text) => (err += text) } });
    await runner.run(command);
    return { out, err, rc: runner.status };
  };
}

const LEGACY: BootCommandOptions = { memory: '2G', cmdline: 'memmap=256M!1G' };
const UUID = '11111111-2222-3333-4444-555555555555';

describe('ndctl read-infoblock', () => {
  it('tells a disabled namespace\'s block, as numbers or in hexadecimal', async () => {
    const run = await boot(LEGACY);
    await run(`ndctl create-namespace -f -e namespace0.0 -m fsdax -M dev`);
    expect(await run('ndctl read-infoblock -j namespace0.0')).toEqual({ out: '', err: 'error reading infoblock data: Device or resource busy\nread 0 infoblocks\n', rc: 240 });
    await run('ndctl disable-namespace namespace0.0');
    const { out, err, rc } = await run('ndctl read-infoblock -j namespace0.0');
    expect([rc, err]).toEqual([0, 'read 1 infoblock\n']);
    expect(JSON.parse(out)).toMatchObject([{
      dev: 'namespace0.0', signature: 'NVDIMM_PFN_INFO', flags: 0, version: '1.4', dataoff: 6 * MIB, npfns: 64000, mode: 2,
      start_pad: 0, end_trunc: 0, align: 4096, page_size: 4096, page_struct_size: 64,
    }]);
    expect(JSON.parse((await run('ndctl read-infoblock -u all')).out)).toMatchObject([{ flags: '0', dataoff: '0x600000', npfns: '0xfa00', page_struct_size: '0x40' }]);
  });

  it('tells a BTT\'s', async () => {
    const run = await boot(LEGACY);
    await run('ndctl create-namespace -f -e namespace0.0 -m sector');
    await run('ndctl disable-namespace namespace0.0');
    expect(JSON.parse((await run('ndctl read-infoblock -j -V namespace0.0')).out)).toMatchObject([{
      signature: 'BTT_ARENA_INFO', version: '1.1', external_lbasize: 4096, external_nlba: 65208, internal_lbasize: 4096, internal_nlba: 65464,
      nfree: 256, infosize: 4096, nextoff: 0, dataoff: 4096, mapoff: 268148736, logoff: 268410880, info2off: 268427264,
    }]);
  });

  it('finds no block in a namespace that never had one, and warns of it', async () => {
    const run = await boot(LEGACY);
    await run('ndctl disable-namespace namespace0.0');
    expect(await run('ndctl read-infoblock -j namespace0.0')).toEqual({ out: '[\n]\n', err: '  Warning: no matching devices found\n\nread 1 infoblock\n', rc: 0 });
  });

  it.each([
    { command: 'read-infoblock bogus', err: 'error reading infoblock data: No such device or address\nread 0 infoblocks\n', rc: 250 },
    { command: 'read-infoblock -i /dev/null', err: 'error reading infoblock data: Input/output error\nread 0 infoblocks\n', rc: 251 },
    { command: 'read-infoblock', err: 'error reading infoblock data: Input/output error\nread 0 infoblocks\n', rc: 251 },
    { command: 'read-infoblock -i /tmp/none', err: 'error reading infoblock data: No such file or directory\nread 0 infoblocks\n', rc: 254 },
    { command: 'write-infoblock bogus', err: 'error checking infoblocks: No such device or address\nwrote 0 infoblocks\n', rc: 250 },
  ])('$command', async ({ command, err, rc }) => expect(await (await boot(LEGACY))(`ndctl ${command}`)).toEqual({ out: '', err, rc }));

  it('refuses a namespace and a file at once, in 129', async () => {
    const { err, rc } = await (await boot(LEGACY))('ndctl read-infoblock -i /tmp/x namespace0.0');
    expect([rc, err.split('\n')[0]]).toEqual([129, '  Error: specify a namespace, or --input, not both']);
  });
});

describe('ndctl write-infoblock', () => {
  it('writes what the kernel then attaches by', async () => {
    const run = await boot(LEGACY);
    await run('ndctl disable-namespace namespace0.0');
    expect(await run('ndctl write-infoblock -m devdax -a 2M namespace0.0')).toEqual({ out: '', err: 'wrote 1 infoblock\n', rc: 0 });
    await run('ndctl enable-namespace namespace0.0');
    expect(JSON.parse((await run('ndctl list')).out)).toMatchObject([{ mode: 'devdax', map: 'dev', size: 250 * MIB, align: 2 * MIB }]);
  });

  it('pads for the address that it is told', async () => {
    const run = await boot(LEGACY);
    await run('ndctl disable-namespace namespace0.0');
    await run(`ndctl write-infoblock -s 96M -a 16M -M mem -p ${UUID} -u ${UUID} -O 1M namespace0.0`);
    expect(JSON.parse((await run('ndctl read-infoblock -j namespace0.0')).out)).toMatchObject([{
      uuid: UUID, parent_uuid: UUID, dataoff: 15 * MIB, npfns: 16640, mode: 1, start_pad: 15 * MIB, end_trunc: MIB, align: 16 * MIB,
    }]);
  });

  it('writes to a file, to standard output, and says what it cannot fit', async () => {
    const run = await boot(LEGACY);
    expect((await run('ndctl write-infoblock -o /tmp/ib -s 32M')).err).toBe('wrote 1 infoblock\n');
    expect(JSON.parse((await run('ndctl read-infoblock -j -i /tmp/ib')).out)).toMatchObject([{ file: '/tmp/ib', dataoff: 2 * MIB, npfns: 7680, align: 2 * MIB }]);
    const { out } = await run('ndctl write-infoblock -c -s 32M -m devdax');
    const block = new Uint8Array(Buffer.from(out, 'latin1')).subarray(4096);
    expect(decodeInfoBlock(block)).toMatchObject({ signature: 'NVDIMM_DAX_INFO', checksum: superBlockChecksum(block) });
    expect(await run('ndctl write-infoblock -o /tmp/small')).toEqual({
      out: '', err: '  Error: unable to satisfy requested alignment\n\nerror checking infoblocks: No such device or address\nwrote 0 infoblocks\n', rc: 250,
    });
    await run('ndctl disable-namespace namespace0.0');
    expect(await run('ndctl write-infoblock -s 100M -a 16M namespace0.0')).toMatchObject({ err: '  Error: --size=100M not aligned to 16M\n\nerror checking infoblocks: Invalid argument\nwrote 0 infoblocks\n', rc: 234 });
  });

  it('names every wrong word, and prints its usage', async () => {
    const { err, rc } = await (await boot(LEGACY))('ndctl write-infoblock -m bogus -M bogus -a 3 -s x -u y -p z -O w all more');
    expect(rc).toBe(129);
    expect(err.split('\n').filter((line) => line.startsWith('  Error: '))).toEqual([
      "invalid mode 'bogus'", "invalid map location 'bogus'", '--map only valid for an devdax mode pmem namespace', "failed to parse namespace size 'x'",
      "failed to parse physical offset'w'", 'align must be a power-of-2 greater than 4096', "failed to parse namespace size 'x'",
      "failed to parse uuid: 'y'", "failed to parse uuid: 'z'", 'unknown extra parameter "more"',
    ].map((text) => `  Error: ${text}`));
  });
});

describe('what the firmware of a DIMM has no methods for', () => {
  const DIMMS: BootCommandOptions = { memory: '1G', nvdimm: ['size=128M,label=128K', 'size=128M,label=128K'] };
  const unsupported = (name: string): string => `  Error: ${name}: security operation not supported\n\n`;

  it.each([
    { command: 'update-passphrase nmem0', err: `${unsupported('nmem0')}passphrase updated for 0 nmem.\n`, rc: 1 },
    { command: 'setup-passphrase -k user:x nmem0', err: `${unsupported('nmem0')}passphrase enabled for 0 nmem.\n`, rc: 1 },
    { command: 'remove-passphrase all', err: `${unsupported('nmem1')}${unsupported('nmem0')}passphrase removed for 0 nmem.\n`, rc: 1 },
    { command: 'freeze-security nmem0', err: `${unsupported('nmem0')}security froze 0 nmem.\n`, rc: 1 },
    { command: 'sanitize-dimm nmem9', err: 'sanitized 0 nmem.\n', rc: 0 },
    { command: 'sanitize-dimm -o nmem0', err: `${unsupported('nmem0')}overwrite issued for 0 nmem.\n`, rc: 1 },
    { command: 'wait-overwrite nmem0', err: unsupported('nmem0'), rc: 1 },
    { command: 'update-firmware -A nmem0', err: 'updated 0 nmem.\n', rc: 1 },
    { command: 'update-firmware -f /dev/null nmem0', err: '  Error: update firmware: nmem0: firmware update not supported by either platform firmware or the kernel.\nupdated 0 nmem.\n', rc: 1 },
    { command: 'update-firmware -f /tmp/none nmem0', err: 'failed to open: /tmp/none: (No such file or directory)\nupdated 0 nmem.\n', rc: 1 },
    { command: 'activate-firmware', err: 'ACPI.NFIT: ndbus0: has no devices that support firmware update.\nerror activating firmware: Operation not supported\n', rc: 161 },
    { command: 'activate-firmware bogus', err: 'error activating firmware: No such device or address\n', rc: 250 },
    { command: 'inject-smart nmem0', err: '  Error: No valid operation specified\n\n', rc: 234 },
    { command: 'inject-smart -m 50 all', err: '  Error: nmem1: smart injection not supported by either platform firmware or the kernel.\n\n', rc: 251 },
    { command: 'inject-smart -f nmem9', err: '  Error: nmem9: no such dimm\n\n', rc: 250 },
    { command: 'write-labels -i /dev/null nmem0', err: 'dimm is active, abort label write\nwrote 1 nmem\n', rc: 0 },
    { command: 'write-labels -i /tmp/none nmem0', err: 'failed to open: /tmp/none: (No such file or directory)\nwrote 0 nmem\n', rc: 1 },
  ])('$command', async ({ command, err, rc }) => {
    const run = await boot(DIMMS);
    // Labels make the DIMMs those of regions that go by them.
    for (const line of ['ndctl disable-region all', 'ndctl init-labels all', 'ndctl enable-region all']) await run(line);
    expect(await run(`ndctl ${command}`)).toEqual({ out: '', err, rc });
  });

  it.each([
    { command: 'update-firmware nmem0', first: 'require --arm, or --disarm', options: 6 },
    { command: 'inject-smart -f', first: '  Error: specify a dimm for the smart operation', options: 20 },
    { command: 'list -b', first: "  Error: switch `b' requires a value", options: 1 },
    { command: 'read-labels -s x nmem0', first: "  Error: switch `s' expects a numerical value", options: 1 },
  ])('$command prints the usage of $options options', async ({ command, first, options }) => {
    const { err, rc } = await (await boot(DIMMS))(`ndctl ${command}`);
    expect([rc, err.split('\n')[0], err.match(/^ {4}(?:-\w, | {4})--/gm)?.length]).toEqual([129, first, options]);
  });
});
