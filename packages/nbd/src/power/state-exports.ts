/**
 * Every outcome of every cut as an export of its own, made when somebody asks for it: a machine that boots on the stores as they would have
 * been left, each under an overlay. What a client writes there stays there, until the last client of that state is gone.
 */
import { type ImageBacking, createOverlayImage } from '@holdfast/machine';
import type { NbdDisk } from '../disk.js';
import type { NbdExport } from '../export.js';
import type { Cut } from './cut.js';
import { findState, parseStateName } from './state-names.js';

/** A machine that runs on an outcome. */
export interface StateMachine {
  disk(name: string): NbdDisk | undefined;
  close(): void;
}

export interface StateExportsNeeds {
  /** Those that are still known. */
  readonly cuts: () => readonly Cut[];
  /** Boot a machine with these images as its stores, by name; undefined if its kernel does not come up. */
  readonly boot: (cut: Cut, stores: ReadonlyMap<string, ImageBacking>) => StateMachine | undefined;
}

export interface StateExports {
  /** How many machines run now. */
  readonly running: number;
  find(name: string): NbdExport | undefined;
  close(): void;
}

/** A machine that nobody uses yet: somebody asked how large its disk is. */
const MAX_UNUSED = 4;

interface Running {
  readonly machine: StateMachine;
  users: number;
}

export function createStateExports({ cuts, boot }: StateExportsNeeds): StateExports {
  const running = new Map<string, Running>();

  const stop = (name: string): void => {
    running.get(name)?.machine.close();
    running.delete(name);
  };
  const start = (name: string, cut: Cut, choices: readonly number[]): Running | undefined => {
    const unused = [...running].filter(([, { users }]) => users === 0);
    for (const [other] of unused.slice(0, Math.max(0, unused.length + 1 - MAX_UNUSED))) stop(other);
    const overlays = new Map([...cut.images(choices)].map(([store, image]) => [store, createOverlayImage(image)]));
    const machine = boot(cut, overlays);
    if (!machine) return undefined;
    const started = { machine, users: 0 };
    running.set(name, started);
    return started;
  };

  return {
    get running() {
      return running.size;
    },
    find(name) {
      const parsed = parseStateName(name);
      const cut = parsed && cuts().find(({ nr }) => nr === parsed.cut);
      const space = cut?.states(parsed!.exportName);
      const index = space && findState(cut!, space, parsed!.state);
      if (index === undefined) return undefined;
      const { exportName } = parsed!;
      const run = (): Running | undefined => running.get(name) ?? start(name, cut!, space!.choices(index, cut!.choices));
      return {
        name,
        description: `${exportName} as cut ${cut!.nr} may have left it: state ${index} of ${space!.count}`,
        disk: () => run()?.machine.disk(exportName),
        use() {
          const used = run();
          if (used) used.users++;
          return () => {
            if (used && --used.users === 0 && running.get(name) === used) stop(name);
          };
        },
      };
    },
    close() {
      for (const name of running.keys()) stop(name);
    },
  };
}
