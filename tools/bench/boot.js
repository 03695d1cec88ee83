/**
 * Boot time and host memory against machine size: each machine boots in a process of its own, so that one cannot warm up another.
 * Flat means: a range costs what a range costs, however large it is.
 *
 *   node tools/bench/boot.js --help
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toolCommand, wholeNumber } from '@holdfast/command-line';

const here = fileURLToPath(import.meta.url);
const GIB = 2 ** 30;
const TIB = 2 ** 40;

/** RAM and persistent memory in bytes; `cmdline` where Linux's default for that size is not what is to be measured. */
const MACHINES = [
  { name: '4 GiB RAM', ram: 4 * GIB, pmem: 0, cmdline: '' },
  { name: '64 GiB RAM', ram: 64 * GIB, pmem: 0, cmdline: '' },
  { name: '1 TiB RAM', ram: TIB, pmem: 0, cmdline: '' },
  { name: '16 TiB RAM', ram: 16 * TIB, pmem: 0, cmdline: '' },
  { name: '64 GiB RAM, 1 TiB pmem, pages in RAM', ram: 64 * GIB, pmem: TIB, cmdline: '' },
  { name: '64 GiB RAM, 64 TiB pmem, no pages', ram: 64 * GIB, pmem: 64 * TIB, cmdline: 'pmem.mapping=wb' },
  { name: '64 GiB RAM, 400 TiB pmem, no pages', ram: 64 * GIB, pmem: 400 * TIB, cmdline: 'pmem.mapping=wb' },
  { name: '64 GiB RAM, 400 TiB pmem, too large for pages', ram: 64 * GIB, pmem: 400 * TIB, cmdline: '' },
  { name: '16 TiB RAM, 400 TiB pmem, pages in RAM', ram: 16 * TIB, pmem: 400 * TIB, cmdline: '' },
];

const command = toolCommand('boot', 'Measures boot time and host memory against the size of the machine.')
  .option('--rounds <n>', 'boots of each machine; shown are medians', wholeNumber(), 5)
  .option('--json', 'print JSON');
const options = command.addOption(command.createOption('--child <machine>').hideHelp()).parse().opts();
if (options.child === undefined) measureAll(options.rounds);
else await bootOne(JSON.parse(options.child));

function measureAll(rounds) {
  const rows = MACHINES.map((machine) => {
    const runs = Array.from({ length: rounds }, () => {
      const { stdout, stderr, status } = spawnSync(process.execPath, [here, '--child', JSON.stringify(machine)], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${machine.name}: ${stderr}`);
      return JSON.parse(stdout);
    });
    const median = (key) => runs.map((run) => run[key]).sort((a, b) => a - b)[Math.floor(rounds / 2)];
    return { machine: machine.name, bootMs: median('bootMs'), hostMib: median('hostMib'), disk: runs[0].disk };
  });
  if (options.json) {
    console.log(JSON.stringify(rows, undefined, 1));
    return;
  }
  console.log(`${'machine'.padEnd(48)} ${'boot ms'.padStart(8)} ${'host MiB'.padStart(9)}  disk`);
  for (const { machine, bootMs, hostMib, disk } of rows) {
    console.log(`${machine.padEnd(48)} ${bootMs.toFixed(1).padStart(8)} ${hostMib.toFixed(0).padStart(9)}  ${disk}`);
  }
}

async function bootOne({ ram, pmem, cmdline }) {
  const load = (name) => import(pathToFileURL(join(dirname(here), `../../packages/${name}/dist/index.js`)).href);
  const [{ boot }, { createDram, createMachine, createNvdimm }] = await Promise.all(['kernel', 'machine'].map(load));
  const low = Math.min(ram, 3 * GIB);
  const high = 4 * GIB + ram - low;
  const pmemStart = Math.ceil(high / TIB) * TIB;
  const media = [{ start: 0, medium: createDram(low) }];
  if (ram > low) media.push({ start: 4 * GIB, medium: createDram(ram - low) });
  if (pmem > 0) media.push({ start: pmemStart, medium: createNvdimm({ sizeBytes: pmem }) });
  const row = (start, end, type) => `BIOS-e820: [mem 0x${start.toString(16).padStart(16, '0')}-0x${(end - 1).toString(16).padStart(16, '0')}] ${type}`;
  const e820 = [
    row(0, 0x9fc00, 'usable'),
    row(0x100000, low, 'usable'),
    ...(ram > low ? [row(4 * GIB, high, 'usable')] : []),
    ...(pmem > 0 ? [row(pmemStart, pmemStart + pmem, 'persistent (type 12)')] : []),
  ].join('\n');

  const began = performance.now();
  const { kernel } = boot({ machine: createMachine({ media, physBits: 52, hypervisor: false }), firmware: { e820 }, cmdline });
  const bootMs = performance.now() - began;
  const disks = [...kernel.root.lookup('sys').lookup('block').list()];
  console.log(JSON.stringify({ bootMs, hostMib: process.memoryUsage().rss / 2 ** 20, disk: disks[0] ?? 'none' }));
}
