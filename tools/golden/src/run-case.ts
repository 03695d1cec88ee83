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
import { REPLAYED, reasonFor, whyNotReplayed, withoutSeedNumbers } from './not-compared.js';

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
    const comparison = compareFacts(withoutSeedNumbers(expected), withoutSeedNumbers(actual), reasonFor(golden));
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

/** Of a whole report: names, and lists that say again what `commands` says. */
const NOT_FACTS = ['case', 'boot', 'panic', 'errors'];

/** Run what the guest ran, up to the first line that the console does not know; captures behind it are left out with it. */
async function replay(golden: GoldenCase, system: System, facts: BootFacts): Promise<Replay> {
  const runner = createCommandRunner(system);
  const { commands, captures, stoppedAt } = splitScript(golden);
  for (const { cmd } of commands) await runner.run(cmd);
  const ours = withCommands(facts, runner);
  const pick = <T>(all: Record<string, T>): Record<string, T> => Object.fromEntries(captures.filter((name) => all[name]).map((name) => [name, all[name]!]));
  return {
    expected: { ...without(golden.expected, NOT_FACTS), captures: dropTools(pick(golden.expected.captures)), commands: commands.map(normalize) },
    actual: { ...without(ours, NOT_FACTS), captures: pick(ours.captures), commands: ours.commands.map((record) => normalize(record as CapturedCommand)) },
    leftOut: new Map(stoppedAt === undefined ? [] : [[whyNotReplayed(stoppedAt), golden.commands.length - commands.length]]),
  };
}

/** ndctl's and daxctl's own listings belong to tools that the console does not have yet: they are no kernel facts. */
function dropTools(captures: Record<string, Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(captures).map(([name, capture]) => [name, without(capture, ['ndctl', 'daxctl'])]));
}

/** The part of the guest's script before its first line that cannot be replayed: its commands, and its captures. */
function splitScript({ guest, commands }: GoldenCase): { commands: readonly CapturedCommand[]; captures: string[]; stoppedAt: string | undefined } {
  const script = guest.split(/\n|;/).map((line) => line.trim()).filter((line) => line !== '');
  const stop = script.findIndex((line) => !/^(?:cap|kpf) [\w-]+$/.test(line) && !(line.startsWith('run ') && REPLAYED.test(line.slice(4))));
  const before = stop < 0 ? script : script.slice(0, stop);
  return {
    commands: commands.slice(0, before.filter((line) => line.startsWith('run ')).length),
    captures: before.flatMap((line) => /^cap ([\w-]+)$/.exec(line)?.[1] ?? []),
    stoppedAt: script[stop],
  };
}

/** What is empty is left out in captures; `ndctl` of a lite state is a tool's listing. */
function normalize({ n, cmd, rc, stdout, stderr, dmesg, state }: CapturedCommand): unknown {
  if (state) {
    const zones = state['zones'] as Record<string, unknown>[] | undefined;
    return { n, cmd, state: { ...without(state, ['ndctl']), ...(zones ? { zones: zones.map((zone) => without(zone, ['managed'])) } : {}) } };
  }
  return { n, cmd, rc, stdout: stdout ?? '', stderr: stderr ?? [], dmesg: dmesg ?? [] };
}

function without(record: object, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
}

function addCounts(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): Map<string, number> {
  const sum = new Map(a);
  for (const [reason, count] of b) sum.set(reason, (sum.get(reason) ?? 0) + count);
  return sum;
}
