/** ndctl monitor, create-nfit and load-keys, daxctl split-acpi and migrate-device-model, and manuals: the words of ndctl 76.1 on a real 6.1. */
import { parseNfit } from '@holdfast/acpi';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bootFromOptions } from '../src/boot-command.js';
import { runLines } from './run-lines.js';

type Said = readonly [rc: number, out: string, err: string];

async function run(lines: readonly string[], nvdimm = 'size=64M'): Promise<Said> {
  const system = await bootFromOptions({ memory: '1G', nvdimm: [nvdimm] });
  const { rc, out, err } = await runLines(system, lines, 'latin1');
  system.close();
  return [rc, out, err];
}

const DIMM = 'size=64M,label=128K';
const MONITOR_USAGE = `
 usage: ndctl monitor [<options>]

    -b, --bus <bus-id>    filter by bus
    -r, --region <region-id>
                          filter by region
    -d, --dimm <dimm-id>  filter by dimm
    -n, --namespace <namespace-id>
                          filter by namespace id
    -D, --dimm-event <name of event type>
                          filter by DIMM event type
    -l, --log <<file> | syslog | standard>
                          where to output the monitor's notification
    -c, --config-file <config-file>
                          override default configs
        --daemon          run ndctl monitor as a daemon
    -u, --human           use human friendly output formats
    -v, --verbose         emit extra debug messages to log
    -p, --poll <n>        poll and report events/status every <n> seconds

`;
const SPA_USAGE = '\n\n\n usage: ndctl create-nfit [<options>]\n\n    -a, --add-spa <size,offset>\n                          add a system-physical-address range table entry\n';
const NFIT_USAGE = `\n usage: ndctl create-nfit [<options>]

    -a, --add-spa <size,offset>
                          add a system-physical-address range table entry
    -o <file>             output to <file> (default: local_nfit.bin)
    -f, --force           overwrite <file> if it already exists

`;
const NO_MANUAL: Said = [255, '', "  Warning: failed to exec 'man': No such file or directory\nno man viewer handled the request\n"];
const SPLIT_USAGE = `\n usage: daxctl split-acpi <options>

    -d, --directory <path>
                          Path to ACPI tables dumped by "acpixtract -a"
    -p, --pxm <n>         Proximity domain to split
    -n, --nodes <n>       Number of nodes to split capacity (default 2)
    -v, --verbose         Enable verbose output

`;

it.each<[string, ...Said]>([
  ['ndctl monitor', 250, 'no dimms to monitor, exiting\n', ''],
  ['ndctl monitor -l standard -u -p 1', 250, 'no dimms to monitor, exiting\n', ''],
  ['ndctl monitor -l syslog', 250, '', ''],
  ['ndctl monitor --daemon', 0, '', ''],
  ['ndctl monitor -D bogus', 30, '', 'no dimm-event named bogus\n'],
  ['echo "dimm-event = x" > /tmp/c; ndctl monitor -c /tmp/c', 0, '', 'no dimm-event named x\n'],
  ['ndctl monitor -c /nope', 254, '', '/nope cannot be opened\n'],
  ['ndctl monitor -l /nope/x', 254, '', '  Error: open /nope/x failed\n\n'],
  ["ndctl monitor -l /tmp/log; sed 's/^.*] //' /tmp/log", 0, 'no dimms to monitor, exiting\n', ''],
  ["ndctl monitor --daemon -l /tmp/log; sed 's/^.*] //' /tmp/log", 0, 'ndctl monitor daemon started\nno dimms to monitor, exiting\n', ''],
  ['ndctl monitor extra', 129, '', `  Error: unknown parameter "extra"\n\n${MONITOR_USAGE}`],
  ['ndctl monitor -N foo', 129, '', `  Error: unknown switch \`N'\n${MONITOR_USAGE}`],
  ['ndctl monitor -p x', 129, '', "  Error: switch `p' expects a numerical value\n\n usage: ndctl monitor [<options>]\n\n    -p, --poll <n>        poll and report events/status every <n> seconds\n"],
  ['ndctl create-nfit', 129, '', `  Error: specify at least one --add-spa= option\n\n${NFIT_USAGE}`],
  ['ndctl create-nfit -a 512M', 129, '', `  Error: failed to parse --add-spa=512M${SPA_USAGE}`],
  ['ndctl create-nfit -a 512M,1G,2G', 129, '', `  Error: failed to parse --add-spa=512M,1G,2G${SPA_USAGE}`],
  ['ndctl create-nfit -a 1G,2G -o /nope/x', 254, '', '  Error: Failed to open "/nope/x": No such file or directory\n\n'],
  ['echo > /tmp/n; ndctl create-nfit -a 1G,2G -o /tmp/n', 239, '', '  Error: "/tmp/n" exists, overwrite with --force\n\n'],
  ['echo > /tmp/n; ndctl create-nfit -f -a 1G,2G -o /tmp/n; ls -l /tmp/n | cut -c1-42', 0, '-rw-r--r--    1 0        0               9\n', 'wrote 96 bytes to /tmp/n\n'],
  ['cd /tmp; ndctl create-nfit -a 512M,1G; ls -l local_nfit.bin | cut -c1-40; od -An -tx1 local_nfit.bin', 0, `-rw-r-----    1 0        0              
 4e 46 49 54 60 00 00 00 01 ff 4c 4f 43 41 4c 00
 01 00 00 00 00 00 00 00 01 00 00 00 00 00 86 80
 01 00 00 00 00 00 00 00 00 00 38 00 01 00 00 00
 00 00 00 00 00 00 00 00 79 d3 f0 66 f3 b4 74 40
 ac 43 0d 33 18 b7 8c db 00 00 00 40 00 00 00 00
 00 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00
`, 'wrote 96 bytes to local_nfit.bin\n'],
  ['ndctl load-keys', 254, '', 'Change current work dir to /etc/ndctl/keys failed: No such file or directory\n'],
  ['ndctl load-keys -p /proc/cmdline', 236, '', 'Change current work dir to /proc/cmdline failed: Not a directory\n'],
  ['mkdir -p /tmp/k; ndctl load-keys -p /tmp/k', 244, '', 'No TPM handle discovered.\nfailed to open file /tmp/k/nvdimm-master.blob: No such file or directory\n'],
  ['mkdir -p /tmp/k; echo x > /tmp/k/nvdimm-master.blob; ndctl load-keys -p /tmp/k -t 1', 218, '', 'add_key failed: Function not implemented\n'],
  ['daxctl split-acpi', 1, '', '  Error: failed to open required ./nfit.dat\n\n'],
  ['daxctl split-acpi -n 3', 129, '', `  Error: --nodes=3, must be power of 2\n\n${SPLIT_USAGE}`],
  ['daxctl migrate-device-model', 1, '', '  Error: failed to install /etc/modprobe.d/daxctl.conf: No such file or directory\n\n'],
  ['daxctl migrate-device-model x', 129, '', '  Error: unknown parameter "x"\n\n\n usage: daxctl migrate-device-model\n\n\n'],
  ['ndctl list --help', ...NO_MANUAL],
  ['ndctl monitor --help', ...NO_MANUAL],
  ['ndctl help list', ...NO_MANUAL],
  ['ndctl bogus --help', ...NO_MANUAL],
  ['daxctl help list', ...NO_MANUAL],
  ['daxctl split-acpi --help', ...NO_MANUAL],
])('%s', async (line, ...said) => {
  expect(await run([line])).toEqual(said);
});

it.each<[string, string]>([
  ['ndctl monitor', 'nmem0: no smart support\n'],
  ['ndctl monitor -d nmem0 -r region0', 'nmem0: no smart support\n'],
  ['ndctl monitor -d nmem9', ''],
  ['ndctl monitor -b nope', ''],
  ['ndctl monitor -r region7', ''],
])('with a DIMM: %s', async (line, err) => {
  expect(await run([line], DIMM)).toEqual([250, 'no dimms to monitor, exiting\n', err]);
});

it('writes tables that the kernel reads as what was asked for', async () => {
  const MIB = 2 ** 20;
  const spa = fc.tuple(fc.integer({ min: 1, max: 2 ** 20 }), fc.integer({ min: 0, max: 2 ** 20 }));
  await fc.assert(fc.asyncProperty(fc.array(spa, { minLength: 1, maxLength: 5 }), async (spas) => {
    const [rc, out] = await run([`ndctl create-nfit ${spas.map(([size, offset]) => `-a ${size}M,${offset}M`).join(' ')} -o /tmp/n 2> /dev/null; cat /tmp/n`]);
    const bytes = Uint8Array.from(out, (char) => char.charCodeAt(0));
    expect([rc, parseNfit(bytes).spaRanges.map(({ length, address }) => [length / MIB, address / MIB])]).toEqual([0, spas]);
  }), { numRuns: 10 });
});
