/**
 * Random programs of stores, flushes and fences, and a machine and the simple model that run them side by side.
 */
import fc from 'fast-check';
import { physAddr } from '@holdfast/lib';
import { type Machine, type Mapping, type MemoryType, type PersistenceDomain, createMachine, createNvdimm } from '../src/index.js';
import { PersistencyModel } from './persistency-model.js';

const LINE = 64;

export interface Step {
  readonly op: 'write' | 'stream' | 'clwb' | 'clflush' | 'sfence' | 'remap' | 'xchg';
  readonly at: number;
  readonly length: number;
  readonly type: MemoryType;
}

const ACCESS = { WB: 'cached', WT: 'through', UC: 'uncached', 'UC-': 'uncached', WC: 'combining' } as const;

/** A machine and the model beside it, taking the same steps. Each store writes a value of its own. */
export function runBoth(steps: readonly Step[], size: number, persistence: PersistenceDomain, undecidedBytes: number): { machine: Machine; model: PersistencyModel } {
  const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: size }) }], persistence, undecidedBytes });
  const model = new PersistencyModel(size, persistence === 'cpu_cache');
  let mapping = machine.cpu.map(physAddr(0), size, 'WB');
  steps.forEach((step, i) => (mapping = takeStep(step, i + 1, { machine, model, mapping, size })));
  return { machine, model };
}

export interface Both {
  readonly machine: Machine;
  readonly model: PersistencyModel;
  readonly mapping: Mapping;
  readonly size: number;
}

export function takeStep({ op, at, length: asked, type }: Step, value: number, { machine, model, mapping, size }: Both): Mapping {
  const length = Math.min(asked, size - at);
  const bytes = new Uint8Array(length).map((_, i) => value * 7 + i);
  switch (op) {
    case 'write':
      mapping.write(at, bytes, 0, length);
      model.store(ACCESS[mapping.type], at, bytes);
      break;
    case 'stream':
      mapping.writeFlushCache(at, bytes, 0, length);
      modelStream(model, mapping.type, at, bytes);
      break;
    case 'xchg': {
      const word = at - (at % 8);
      mapping.xchg(word, new Uint8Array(8).fill(value));
      model.fence();
      model.store(ACCESS[mapping.type], word, new Uint8Array(8).fill(value));
      break;
    }
    case 'clwb':
      mapping.clwb(at, length);
      model.flush(at, length);
      break;
    case 'clflush':
      mapping.clflush(at, length);
      model.flushNow(at, length);
      break;
    case 'sfence':
      machine.cpu.sfence();
      model.fence();
      break;
    case 'remap':
      machine.cpu.unmap(mapping);
      return machine.cpu.map(physAddr(0), size, type);
  }
  return mapping;
}

/** memcpy_flushcache: plain ends with their lines flushed, non-temporal words between. */
function modelStream(model: PersistencyModel, type: MemoryType, at: number, bytes: Uint8Array): void {
  if (ACCESS[type] === 'uncached') return model.store('uncached', at, bytes);
  const head = Math.min((8 - (at % 8)) % 8, bytes.length);
  const tail = (bytes.length - head) % 4;
  const edge = (from: number, to: number): void => {
    model.store(ACCESS[type], at + from, bytes.subarray(from, to));
    model.flush(at + from, to - from);
  };
  edge(0, head);
  model.store('combining', at + head, bytes.subarray(head, bytes.length - tail));
  edge(bytes.length - tail, bytes.length);
}

/** Programs for a medium of `size` bytes. */
export const steps = (size: number, maxLength: number, ops: readonly Step['op'][]): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      op: fc.constantFrom(...ops),
      at: fc.oneof(fc.nat(size - 1), fc.tuple(fc.nat((size - 1) >> 12), fc.nat(191)).map(([frame, within]) => Math.min(frame * 4096 + within, size - 1))),
      length: fc.oneof(fc.constantFrom(1, 4, 8, 16, LINE), fc.nat(maxLength)),
      type: fc.constantFrom<MemoryType>('WB', 'WB', 'WC', 'WT', 'UC', 'UC-'),
    }),
    { maxLength: 30 },
  );

