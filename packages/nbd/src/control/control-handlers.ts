/**
 * What the methods of the control socket do.
 */
import type { FaultPlan } from '../faults/fault-plan.js';
import type { NbdExport } from '../export.js';
import type { Cut } from '../power/cut.js';
import type { CutTrigger } from '../power/cut-trigger.js';
import type { PowerSwitch } from '../power/power-switch.js';
import type { StateExports } from '../power/state-exports.js';
import { formatStateName, nameOfIndex, sampleNames } from '../power/state-names.js';
import type { StateSpace } from '../power/state-space.js';
import type { Recorder } from '../record/recorder.js';
import type { NbdServer } from '../server.js';
import { ControlError, type CutSummary, type StatesParams } from './control-protocol.js';
import type { ControlHandlers } from './control-server.js';

const DEFAULT_LIMIT = 100;

export interface ControlNeeds {
  readonly server: Pick<NbdServer, 'connections' | 'counters'>;
  /** Those of the machine, without its states. */
  readonly exports: () => readonly NbdExport[];
  readonly power: PowerSwitch;
  readonly trigger: CutTrigger;
  readonly states: StateExports;
  readonly faults: FaultPlan;
  readonly recorder?: Recorder | undefined;
}

export function createControlHandlers({ server, exports, power, trigger, states, faults, recorder }: ControlNeeds): ControlHandlers {
  const spaceOf = (params: StatesParams): { cut: Cut; space: StateSpace; exportName: string } => {
    const exportName = params.export ?? exports()[0]?.name ?? '';
    const cut = params.cut === undefined ? power.cuts.at(-1) : power.cuts.find(({ nr }) => nr === params.cut);
    const known = power.cuts.map(({ nr }) => nr).join(', ') || 'none';
    if (!cut) throw new ControlError('ENOENT', `there is no cut ${params.cut ?? 'yet'}; known: ${known}`);
    const space = cut.states(exportName);
    if (!space) throw new ControlError('ENOENT', `cut ${cut.nr} knows no export '${exportName}'; there are: ${[...cut.ranges.keys()].join(', ')}`);
    return { cut, space, exportName };
  };

  return {
    status: () => {
      const { reads, writes, others, errors } = server.counters;
      return {
        power: power.poweredOn ? 'on' : 'off',
        exports: exports().map((exported) => {
          const disk = exported.disk();
          return { name: exported.name, ...(disk ? { sizeBytes: disk.sizeBytes } : {}) };
        }),
        clients: server.connections.size,
        states: states.running,
        cuts: power.cuts.map(summaryOf),
        ...(trigger.left === undefined ? {} : { armed: trigger.left }),
        faults: faults.count,
        reads,
        writes,
        others,
        errors,
        ...(recorder ? { recording: { file: recorder.file, records: recorder.records } } : {}),
      };
    },
    powercut(options) {
      trigger.disarm();
      const { cut, effectMicros } = power.cut(options);
      return { ...summaryOf(cut), effectMicros: Math.round(effectMicros) };
    },
    'powercut.arm': ({ after, ...options }) => {
      trigger.arm(after, () => void power.cut(options));
      return { after };
    },
    restore() {
      power.restore();
      return {};
    },
    'states.count': (params) => {
      const { cut, space, exportName } = spaceOf(params);
      return { export: exportName, cut: cut.nr, count: space.count.toString() };
    },
    'states.list': ({ from = '0', limit = DEFAULT_LIMIT, ...params }) => {
      const { cut, space, exportName } = spaceOf(params);
      const names: string[] = [];
      for (let index = BigInt(from); index < space.count && names.length < limit; index++) {
        const state = nameOfIndex(index);
        if (state === undefined) throw new ControlError('ERANGE', 'from: states with numbers that long have no names; sample them');
        names.push(formatStateName({ exportName, cut: cut.nr, state }));
      }
      return { names };
    },
    'states.sample': ({ count, seed = 0, ...params }) => {
      const { cut, space, exportName } = spaceOf(params);
      return { names: sampleNames(cut, space, { most: count, seed }).map((state) => formatStateName({ exportName, cut: cut.nr, state })) };
    },
    mark({ name }) {
      if (!recorder) throw new ControlError('ENODEV', 'nothing is recorded: start the server with --record');
      return { record: recorder.mark(name) };
    },
    'faults.add': (spec) => {
      if (spec.export !== undefined && !exports().some(({ name }) => name === spec.export)) {
        throw new ControlError('ENOENT', `there is no export '${spec.export}'`);
      }
      const fault = faults.add(spec);
      recorder?.faultAdded(spec);
      return { fault };
    },
    'faults.list': () => ({ faults: faults.list() }),
    'faults.clear': ({ fault }) => {
      const cleared = faults.clear(fault);
      recorder?.faultsCleared(fault);
      return { cleared };
    },
  };
}

export function summaryOf({ nr, keep, seed, units, lost, digest }: Cut): CutSummary {
  return { cut: nr, keep, seed, open: units.length, lost, digest };
}
