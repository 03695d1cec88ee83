/**
 * `holdfast nbd ctl SOCKET|URI ACTION …`: throws the power switch of a server that runs, and asks what it left.
 */
import {
  ControlError, type CutSummary, type FaultSpec, type KeepRule, type ListedFault, type NbdControl, type NbdStatus, type OnCut, createNbdControl,
} from '@holdfast/nbd';
import type { Terminal } from './boot-command.js';
import { CliError } from './cli-error.js';
import { controlPathOf, exportUri } from './nbd-control-path.js';

/** As typed. */
export interface NbdCtlOptions {
  json?: boolean;
  seed?: string;
  keep?: string;
  onCut?: string;
  after?: string;
  export?: string;
  cut?: string;
  count?: boolean;
  list?: boolean;
  sample?: string;
  from?: string;
  limit?: string;
  uris?: boolean;
  where?: string;
  ms?: string;
  error?: string;
}

interface Asked {
  readonly control: NbdControl;
  readonly socket: string;
  readonly options: NbdCtlOptions;
  readonly args: readonly string[];
}

/** What an action answers: JSON as the protocol has it, and lines for people. */
interface Answered {
  readonly result: unknown;
  readonly lines: readonly string[];
}

interface Action {
  readonly takes: readonly (keyof NbdCtlOptions)[];
  /** How many words may follow it. */
  readonly words: number;
  run(asked: Asked): Promise<Answered>;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  status: { takes: [], words: 0, run: status },
  powercut: { takes: ['seed', 'keep', 'onCut', 'after'], words: 0, run: powercut },
  restore: { takes: [], words: 0, run: restore },
  states: { takes: ['export', 'cut', 'count', 'list', 'sample', 'from', 'limit', 'seed', 'uris'], words: 0, run: states },
  faults: { takes: ['where', 'ms', 'error', 'seed', 'export'], words: 2, run: faults },
  mark: { takes: [], words: 1, run: mark },
};

/** @returns the exit status: 1 where the server refused @throws CliError for what was typed wrong */
export async function nbdCtlCommand(socket: string, name: string, args: readonly string[], options: NbdCtlOptions, terminal: Terminal): Promise<number> {
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name]! : undefined;
  if (!action) throw new CliError(`nbd ctl: '${name}': expected ${Object.keys(ACTIONS).join(', ')}`);
  const stray = (Object.keys(options) as (keyof NbdCtlOptions)[]).find((key) => key !== 'json' && !action.takes.includes(key));
  if (stray !== undefined) throw new CliError(`nbd ctl ${name}: --${stray === 'onCut' ? 'on-cut' : stray} is not for it`);
  if (args.length > action.words) throw new CliError(`nbd ctl ${name}: '${args[action.words]!}' is too much`);
  try {
    const control = await createNbdControl(controlPathOf(socket));
    try {
      const { result, lines } = await action.run({ control, socket, options, args });
      terminal.out(options.json ? `${JSON.stringify(result)}\n` : lines.map((line) => `${line}\n`).join(''));
      return 0;
    } finally {
      control.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    terminal.err(`holdfast: ${error instanceof ControlError ? `${code}: ${message}` : message}\n`);
    return 1;
  }
}

async function status({ control }: Asked): Promise<Answered> {
  const result = await control.call('status', {});
  return { result, lines: statusLines(result) };
}

function statusLines({ power, exports, clients, states, cuts, armed, faults, reads, writes, others, errors, recording }: NbdStatus): string[] {
  return [
    `power ${power}`,
    ...exports.map(({ name, sizeBytes }) => `export ${name}${sizeBytes === undefined ? '' : ` ${sizeBytes} bytes`}`),
    `clients ${clients}, machines on outcomes of cuts ${states}, faults ${faults}`,
    `reads ${reads}, writes ${writes}, others ${others}, errors ${errors}`,
    ...cuts.map(cutLine),
    ...(armed === undefined ? [] : [`the power goes after ${armed} more requests`]),
    ...(recording ? [`recording ${recording.file}, ${recording.records} records`] : []),
  ];
}

function cutLine({ cut, open, lost, keep, seed }: CutSummary): string {
  return `cut-${cut}: ${open} open, ${lost} lost (keep ${keep}, seed ${seed})`;
}

async function powercut({ control, options: { keep, seed, onCut, after } }: Asked): Promise<Answered> {
  const how = {
    ...(keep === undefined ? {} : { keep: keep as KeepRule }),
    ...(seed === undefined ? {} : { seed: number(seed, '--seed') }),
    ...(onCut === undefined ? {} : { onCut: onCut as OnCut }),
  };
  if (after !== undefined) {
    const armed = await control.call('powercut.arm', { ...how, after: number(after, '--after') });
    return { result: armed, lines: [`the power goes after ${armed.after} more requests`] };
  }
  const result = await control.call('powercut', how);
  return { result, lines: [`${cutLine(result)}; no request reached a disk after ${result.effectMicros} us`] };
}

async function restore({ control }: Asked): Promise<Answered> {
  return { result: await control.call('restore', {}), lines: ['the power is back'] };
}

async function states({ control, socket, options }: Asked): Promise<Answered> {
  const { count, list, sample, from, limit, seed, uris } = options;
  if ([count, list, sample].filter((each) => each !== undefined).length !== 1) throw new CliError('nbd ctl states: give one of --count, --list and --sample N');
  const about = {
    ...(options.export === undefined ? {} : { export: options.export }),
    ...(options.cut === undefined ? {} : { cut: number(options.cut.replace(/^cut-/, ''), '--cut') }),
  };
  if (count) {
    const result = await control.call('states.count', about);
    return { result, lines: [result.count] };
  }
  const result = list
    ? await control.call('states.list', {
        ...about,
        ...(from === undefined ? {} : { from }),
        ...(limit === undefined ? {} : { limit: number(limit, '--limit') }),
      })
    : await control.call('states.sample', {
        ...about,
        count: number(sample!, '--sample'),
        ...(seed === undefined ? {} : { seed: number(seed, '--seed') }),
      });
  return { result, lines: uris ? result.names.map((name) => exportUri(socket, name)) : result.names };
}

async function mark({ control, args: [name] }: Asked): Promise<Answered> {
  if (name === undefined) throw new CliError('nbd ctl mark: expected a name');
  const result = await control.call('mark', { name });
  return { result, lines: [`mark '${name}' is record ${result.record}`] };
}

async function faults({ control, options, args: [what, nr] }: Asked): Promise<Answered> {
  if (what === undefined || what === 'list') {
    const result = await control.call('faults.list', {});
    return { result, lines: result.faults.map(faultLine) };
  }
  if (what === 'clear') {
    const result = await control.call('faults.clear', nr === undefined ? {} : { fault: number(nr, 'faults clear') });
    return { result, lines: [`cleared ${result.cleared}`] };
  }
  if (nr !== undefined) throw new CliError(`nbd ctl faults ${what}: '${nr}' is too much`);
  const { where, ms, error, seed } = options;
  const result = await control.call('faults.add', {
    kind: what,
    ...(options.export === undefined ? {} : { export: options.export }),
    ...(where === undefined ? {} : parseWhere(where)),
    ...(ms === undefined ? {} : { delayMs: number(ms, '--ms') }),
    ...(error === undefined ? {} : { error }),
    ...(seed === undefined ? {} : { seed: number(seed, '--seed') }),
  } as FaultSpec);
  return { result, lines: [`fault ${result.fault}`] };
}

function faultLine({ fault, matched, met, ...spec }: ListedFault): string {
  return `${fault}: ${Object.entries(spec).map(([key, value]) => `${key} ${value}`).join(', ')}; met ${met} of ${matched}`;
}

/** `write,sectors=2048-4095,nth=3,probability=0.1,times=5`. The server checks the values. @throws CliError */
export function parseWhere(text: string): Partial<FaultSpec> {
  const spec: Record<string, unknown> = {};
  for (const word of text.split(',')) {
    const [key, value] = word.split('=', 2) as [string, string?];
    const sectors = /^(\d+)(?:-(\d+))?$/.exec(value ?? '');
    if (value === undefined) spec['op'] = key;
    else if (key === 'sectors' && sectors) [spec['firstSector'], spec['lastSector']] = [Number(sectors[1]), Number(sectors[2] ?? sectors[1])];
    else if (['nth', 'probability', 'times'].includes(key)) spec[key] = number(value, `--where ${key}`);
    else throw new CliError(`--where '${word}': expected read, write, flush, trim or zero, sectors=FIRST[-LAST], nth=N, probability=P, or times=N`);
  }
  return spec;
}

/** The server checks its range. */
function number(text: string, what: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new CliError(`${what} '${text}': expected a number`);
  return Number(text);
}
