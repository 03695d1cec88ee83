/** Facts of a boot, in the shape of `expected.json` and `commands.json`. */
import { type Capture, type LiteState, liteDifference, liteStateOf, parseBootLog, parseCapture } from '@holdfast/cli';
import type { CaseDescription } from './describe-case.js';
import type { BootRecord, StateTexts } from './run-boot.js';

/** Of `commands.json`; what is empty is left out. */
export type CommandFact = { readonly n: number; readonly cmd: string } & Record<string, unknown>;

export function commandFacts({ steps }: BootRecord): CommandFact[] {
  let before: LiteState | undefined;
  return steps.map((step): CommandFact => {
    if ('texts' in step) {
      const now = liteStateOf({ ...captureTexts(step.texts), ndctl: parseJson(step.texts['ndctl']) });
      const state = liteDifference(now, before);
      before = now;
      return { n: step.n, cmd: step.cmd, state };
    }
    const { n, cmd, rc, stdout, stderr, dmesg } = step;
    const said = parseJson(stdout) ?? stdout;
    return { n, cmd, rc, ...(said === '' ? {} : { stdout: said }), ...(stderr.length > 0 ? { stderr } : {}), ...(dmesg.length > 0 ? { dmesg } : {}) };
  });
}

export function expectedFacts({ name, boot = 1, cmdline }: CaseDescription, record: BootRecord): Record<string, unknown> {
  const { kernel, e820, memblock } = parseBootLog(record.log.join('\n'));
  return {
    case: name,
    boot,
    cmdline,
    ...(kernel === undefined ? {} : { kernel }),
    finished: record.finished,
    e820,
    firmware_memmap: record.memmap.split('\n').filter((line) => line !== '').map((line) => {
      const [, start, end, type] = /^(\S+) (\S+) (.*)$/.exec(line)!;
      return { start, end, type };
    }),
    memblock,
    captures: Object.fromEntries([...record.captures].map(([label, texts]) => [label, captureOf(texts)])),
  };
}

function captureOf(texts: StateTexts): Capture {
  const [ndctl, daxctl] = [parseJson(texts['ndctl']), parseJson(texts['daxctl'])];
  return { ...parseCapture(captureTexts(texts)), ...(ndctl === undefined ? {} : { ndctl }), ...(daxctl === undefined ? {} : { daxctl }) };
}

function captureTexts(texts: StateTexts): Parameters<typeof parseCapture>[0] {
  const text = (name: string): string => texts[name] ?? '';
  return {
    iomem: text('iomem'),
    zoneinfo: text('zoneinfo'),
    memoryBlocks: text('memory-blocks'),
    nd: text('nd-sysfs'),
    dax: text('dax-sysfs'),
    block: text('block'),
  };
}

/** What a tool printed as JSON; undefined if it is none. */
function parseJson(text = ''): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
