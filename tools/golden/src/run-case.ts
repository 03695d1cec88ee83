/**
 * Boots a captured machine from its firmware description, replays its guest's commands, and compares.
 */
import {
  type BootFacts, type System,
  bootFacts, buildMachine, createCommandRunner, createSystem, loadFirmware, planMachine, withCommands,
} from '@holdfast/cli';
import { DEFAULT_RELEASE } from '@holdfast/lib';
import { type Comparison, type Difference, compareFacts } from './compare.js';
import type { CapturedCommand, GoldenCase } from './load-case.js';
import { REPLAYED, reasonFor, whyNotReplayed } from './not-compared.js';

export interface CaseResult extends Comparison {
  readonly name: string;
  readonly group: string;
  /** Holdfast itself failed: always a difference. */
  readonly failure?: string;
}

export async function runCase(golden: GoldenCase): Promise<CaseResult> {
  const head = { name: golden.name, group: golden.group };
  try {
    const { firmware, cmdline = '' } = loadFirmware(golden.firmwareDir);
    const plan = planMachine({ firmware, cmdline, release: DEFAULT_RELEASE, la57: golden.la57 });
    const { machine } = await buildMachine(plan);
    const system = createSystem({ machine, firmware, cmdline, release: DEFAULT_RELEASE });
    const facts = bootFacts(system, cmdline);
    const { actual, expected, leftOut } = await replay(golden, system, facts);
    const comparison = compareFacts(expected, actual, reasonFor(golden));
    return { ...head, ...comparison, leftOut: addCounts(comparison.leftOut, leftOut) };
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const difference: Difference = { path: 'boot', expected: 'a kernel', actual: failure.split('\n')[0] };
    return { ...head, compared: 1, differences: [difference], leftOut: new Map(), failure };
  }
}

interface Replay {
  readonly expected: unknown;
  readonly actual: unknown;
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Run what the guest ran, up to the first command that the console does not know; captures behind it are left out with it. */
async function replay(golden: GoldenCase, system: System, facts: BootFacts): Promise<Replay> {
  const runner = createCommandRunner(system);
  const { commands, captures, stoppedAt } = splitScript(golden);
  for (const { cmd } of commands) await runner.run(cmd);
  const { commands: records, captures: taken, errors: _, boot: _boot, panic: _panic, ...rest } = withCommands(facts, runner);
  const wanted = golden.expected;
  const leftOut = new Map<string, number>();
  if (stoppedAt) leftOut.set(whyNotReplayed(stoppedAt.cmd), golden.commands.length - commands.length);
  const pick = <T>(all: Record<string, T>): Record<string, T> => Object.fromEntries(captures.filter((name) => all[name]).map((name) => [name, all[name]!]));
  const { case: _case, boot: _b, captures: _captures, commands: _c, errors: _e, ...expectedRest } = wanted;
  return {
    expected: { ...expectedRest, captures: dropTools(pick(wanted.captures)), commands: commands.map(normalize) },
    actual: { ...rest, captures: pick(taken), commands: records.map((record) => normalize(record as CapturedCommand)) },
    leftOut,
  };
}

/** ndctl's and daxctl's own listings belong to tools that the console does not have yet: they are no kernel facts. */
function dropTools(captures: Record<string, Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(captures).map(([name, { ndctl: _ndctl, daxctl: _daxctl, ...rest }]) => [name, rest]));
}

/** The commands that can be replayed, and the captures that the guest took before the first that cannot. */
function splitScript({ guest, commands }: GoldenCase): { commands: readonly CapturedCommand[]; captures: string[]; stoppedAt: CapturedCommand | undefined } {
  const stop = commands.findIndex(({ cmd }) => !REPLAYED.test(cmd));
  const script = guest.split(/\n|;/).map((line) => line.trim()).filter((line) => line !== '');
  const lastLine = script.findIndex((line) => line !== 'run lite' && !/^(?:cap|kpf) /.test(line) && !REPLAYED.test(line.replace(/^run /, '')));
  const before = lastLine < 0 ? script : script.slice(0, lastLine);
  return {
    commands: stop < 0 ? commands : commands.slice(0, stop),
    captures: before.flatMap((line) => /^cap ([\w-]+)$/.exec(line)?.[1] ?? []),
    stoppedAt: stop < 0 ? undefined : commands[stop],
  };
}

/** What is empty is left out in captures; `ndctl` of a lite state is a tool's listing. */
function normalize({ n, cmd, rc, stdout, stderr, dmesg, state }: CapturedCommand): unknown {
  if (state) {
    const { ndctl: _, zones, ...rest } = state as { ndctl?: unknown; zones?: { managed?: number }[] };
    return { n, cmd, state: { ...rest, ...(zones ? { zones: zones.map(({ managed: _managed, ...zone }) => zone) } : {}) } };
  }
  return { n, cmd, rc, stdout: stdout ?? '', stderr: stderr ?? [], dmesg: dmesg ?? [] };
}

function addCounts(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): Map<string, number> {
  const sum = new Map(a);
  for (const [reason, count] of b) sum.set(reason, (sum.get(reason) ?? 0) + count);
  return sum;
}
