/**
 * Boots a captured machine from its firmware description, runs its guest's script, and compares. Later boots of a case find on the media
 * what the earlier ones left there.
 */
import { GUEST_PRELUDE } from '@holdfast/capture';
import {
  type BootFacts, type BuiltMachine, type CommandRunner, type DimmPlan, type PluggedVirtio, type System,
  bootFacts, buildMachine, createCommandRunner, createSystem, loadFirmware, planMachine, plugVirtio, withCommands,
} from '@holdfast/cli';
import { DEFAULT_RELEASE } from '@holdfast/lib';
import { type Comparison, type Difference, compareFacts } from './compare.js';
import type { CapturedCommand, GoldenCase } from './load-case.js';
import { REPLAYED, reasonFor, whyNotReplayed, withoutChance } from './not-compared.js';

export interface CaseResult extends Comparison {
  readonly name: string;
  readonly group: string;
  /** Holdfast itself failed: always a difference. */
  readonly failure?: string;
}

export async function runCase(golden: GoldenCase): Promise<CaseResult> {
  const head = { name: golden.name, group: golden.group };
  try {
    const boots = [golden, ...golden.laterBoots];
    const { firmware: first, memoryDevices } = loadFirmware(golden.firmwareDir);
    // What is protected at any of the boots is non-volatile at all of them.
    const plan = planMachine({ firmware: first, cmdline: boots.map(({ cmdline }) => cmdline).join(' '), release: DEFAULT_RELEASE, la57: golden.la57 });
    const { machine } = await buildMachine(plan);
    const virtio = await plugVirtio(machine, first, golden.virtio, memoryDevices);
    const { dimms } = first; // with the label areas, which outlive a boot
    const results: Comparison[] = [];
    for (const [index, boot] of boots.entries()) {
      const { firmware } = loadFirmware(boot.firmwareDir);
      results.push(
        await runBoot(
          boot,
          { machine, virtio: virtio.devices, dimms: memoryDevices },
          { ...firmware, ...(dimms ? { dimms } : {}) },
          index === 0 ? '' : `boot${index + 1}.`,
        ),
      );
    }
    return { ...head, ...addComparisons(results) };
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const difference: Difference = { path: 'boot', expected: 'a kernel', actual: failure.split('\n')[0] };
    return { ...head, compared: 1, differences: [difference], leftOut: new Map(), failure };
  }
}

/** What is there over all boots of a case. */
type Hardware = Pick<BuiltMachine, 'machine'> & { readonly virtio: PluggedVirtio['devices']; readonly dimms: readonly DimmPlan[] };

async function runBoot(golden: GoldenCase, hardware: Hardware, firmware: Parameters<typeof createSystem>[0]['firmware'], prefix: string): Promise<Comparison> {
  const { cmdline } = golden;
  const system = createSystem({ ...hardware, firmware, cmdline, release: DEFAULT_RELEASE });
  const { actual, expected, commands, leftOut } = await replay(golden, system, bootFacts(system, cmdline));
  system.close();
  const comparison = compareFacts(withoutChance(expected), withoutChance(actual), reasonFor(golden, commands));
  const differences = comparison.differences.map((difference) => ({ ...difference, path: `${prefix}${difference.path}` }));
  return { ...comparison, differences, leftOut: addCounts(comparison.leftOut, leftOut) };
}

interface Replay {
  readonly expected: unknown;
  readonly actual: unknown;
  /** What was replayed. */
  readonly commands: readonly CapturedCommand[];
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Of a whole report: names, and lists that say again what `commands` says. */
const NOT_FACTS = ['case', 'boot', 'panic', 'errors'];

/** Run what the guest ran, up to the first command that the console does not know; captures behind it are left out with it. */
async function replay(golden: GoldenCase, system: System, facts: BootFacts): Promise<Replay> {
  const { runner, stoppedAt } = await runGuest(golden, system);
  // A guest whose commands went otherwise may have run more of them, or fewer: then the lists differ, too.
  const commands = stoppedAt === undefined ? golden.commands : golden.commands.slice(0, runner.records.length);
  const ours = withCommands(facts, runner);
  const names = stoppedAt === undefined ? Object.keys({ ...golden.expected.captures, ...runner.captures }) : Object.keys(runner.captures);
  const pick = <T>(all: Record<string, T>): Record<string, T> => Object.fromEntries(names.filter((name) => all[name]).map((name) => [name, all[name]!]));
  return {
    expected: {
      ...without(golden.expected, NOT_FACTS),
      captures: withManagedChanges(pick(golden.expected.captures)),
      commands: commands.map(normalize),
    },
    actual: {
      ...without(ours, NOT_FACTS),
      captures: withManagedChanges(pick(ours.captures)),
      commands: ours.commands.map((record) => normalize(record as CapturedCommand)),
    },
    commands,
    leftOut: notReached(stoppedAt, golden.commands.length - commands.length),
  };
}

/** Ends a script at a command that is not to be replayed. */
class Stop extends Error {}

function notReached(stoppedAt: string | undefined, commands: number): Map<string, number> {
  return new Map(stoppedAt === undefined ? [] : [[whyNotReplayed(stoppedAt), commands]]);
}

interface GuestRun {
  readonly runner: CommandRunner;
  /** The command that ended the replay. */
  readonly stoppedAt: string | undefined;
}

async function runGuest({ guest }: GoldenCase, system: System): Promise<GuestRun> {
  const before = (cmd: string): void => {
    if (!REPLAYED.test(cmd)) throw new Stop(cmd);
  };
  const runner = createCommandRunner(system, { before });
  try {
    if (system.kernel) await runner.runScript(`${GUEST_PRELUDE}\n${guest}`);
    return { runner, stoppedAt: undefined };
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return { runner, stoppedAt: error.message };
  }
}

/** How many managed pages a zone has are a matter of the kernel image; how many came or went since the boot is not. */
function withManagedChanges(captures: Record<string, unknown>): Record<string, unknown> {
  type Zones = { node: number; zone: string; managed: number }[];
  const zonesOf = (capture: unknown): Zones => (capture as { zones?: Zones } | undefined)?.zones ?? [];
  const boot = new Map(zonesOf(captures['boot']).map(({ node, zone, managed }) => [`${node} ${zone}`, managed]));
  const withChange = (capture: unknown): unknown => ({
    ...(capture as object),
    zones: zonesOf(capture).map((zone) => ({ ...zone, managed_change: zone.managed - (boot.get(`${zone.node} ${zone.zone}`) ?? zone.managed) })),
  });
  return Object.fromEntries(Object.entries(captures).map(([name, capture]) => [name, withChange(capture)]));
}

/** What is empty is left out in captures. */
function normalize({ n, cmd, rc, stdout, stderr, dmesg, state }: CapturedCommand): unknown {
  if (state) {
    const zones = state['zones'] as Record<string, unknown>[] | undefined;
    return { n, cmd, state: { ...state, ...(zones ? { zones: zones.map((zone) => without(zone, ['managed'])) } : {}) } };
  }
  return { n, cmd, rc, stdout: stdout ?? '', stderr: stderr ?? [], dmesg: dmesg ?? [] };
}

function without(record: object, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
}

function addComparisons(results: readonly Comparison[]): Comparison {
  return {
    compared: results.reduce((sum, { compared }) => sum + compared, 0),
    differences: results.flatMap(({ differences }) => differences),
    leftOut: results.reduce((sum, { leftOut }) => addCounts(sum, leftOut), new Map<string, number>()),
  };
}

function addCounts(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): Map<string, number> {
  const sum = new Map(a);
  for (const [reason, count] of b) sum.set(reason, (sum.get(reason) ?? 0) + count);
  return sum;
}
