/**
 * Every tool tells its options, its README knows them, and what it does not take is one line and status 2.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';

const TOOLS = join(import.meta.dirname, '../..');

const CASES = [
  { tool: 'bench/bench.js', options: [], refused: [['boott']] },
  { tool: 'bench/block.js', options: ['--device', '--rounds', '--flush-every', '--json'], refused: [['--device', '0'], ['--device', '17']] },
  { tool: 'bench/boot.js', options: ['--rounds', '--json'], refused: [['--rounds', '1.5']] },
  { tool: 'bench/buddy.js', options: ['--pages', '--rounds', '--turns', '--made', '--json'], refused: [['--pages', '40000']] },
  { tool: 'bench/microbench.js', options: ['--json'], refused: [['--rounds', '2']] },
  { tool: 'bench/nbd.js', options: ['--size', '--rounds', '--seconds', '--only', '--json', '--readme'], refused: [['--size', '1000'], ['--seconds', 'soon']] },
  { tool: 'capture/dist/main.js', options: ['--out', '--texts', '--timeout'], refused: [['case'], ['case', '--out', 'x', '--timeout', '-1']] },
  { tool: 'golden/dist/main.js', options: ['--json', '--all'], refused: [['--jsom']] },
  { tool: 'interop/dist/main.js', options: [], refused: [['--fs', 'xfs']] },
  { tool: 'interop/dist/crash-fs.js', options: ['--fs', '--work', '--seed', '--cuts', '--states', '--mount', '--disk', '--nvdimm', '--lie'], refused: [['--fs', 'btrfs'], ['--lie', '1.1']] },
  { tool: 'soak/soak.js', options: ['--minutes', '--workers', '--cut-seconds', '--seed', '--json'], refused: [['--minutes', '0'], ['--workers', 'Infinity']] },
  { tool: 'thread-mutations/dist/main.js', options: [], refused: [['45']] },
];

interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Start every tool with each of its command lines, in one process of Node: one for each took half a minute. */
function runAll(lines: readonly (readonly [tool: string, ...args: string[]])[]): Run[] {
  const script = `
    const runs = [];
    const print = process.stdout.write.bind(process.stdout);
    for (const stream of ['stdout', 'stderr']) process[stream].write = (text) => (runs.at(-1)[stream] += text);
    const exit = new Error('exit');
    process.exit = (status) => {
      runs.at(-1).status = status;
      throw exit;
    };
    for (const [url, ...args] of ${JSON.stringify(lines.map(([tool, ...args]) => [pathToFileURL(join(TOOLS, tool)).href, ...args]))}) {
      process.argv = [process.execPath, url, ...args];
      runs.push({ stdout: '', stderr: '' });
      await import(url + '?' + runs.length).catch((error) => {
        if (error !== exit) throw error;
      });
    }
    print(JSON.stringify(runs));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-'], { input: script, encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Run[];
}

const lines = CASES.flatMap(({ tool, refused }) => [[tool, '--help'], ...refused.map((args) => [tool, ...args])] as [string, ...string[]][]);
const runs = new Map(runAll(lines).map((run, i) => [lines[i]!.join(' '), run]));

describe.each(CASES)('$tool', ({ tool, options, refused }) => {
  it('tells its options, and so does its README', () => {
    const { stdout, ...others } = runs.get(`${tool} --help`)!;
    expect(others).toEqual({ status: 0, stderr: '' });
    expect([...stdout.matchAll(/^ +(--[a-z-]+)/gm)].map(([, option]) => option)).toEqual(options);
    const readme = readFileSync(join(TOOLS, tool.split('/')[0]!, 'README.md'), 'utf8');
    expect(options.filter((option) => !readme.includes(option))).toEqual([]);
  });

  it.each(refused.map((args) => args.join(' ')))('refuses %s', (args) => {
    const { stderr, ...others } = runs.get(`${tool} ${args}`)!;
    expect(others).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/^[a-z-]+: .*\n$/);
  });
});
