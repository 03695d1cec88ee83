/**
 * What the platform's firmware does for its NVDIMMs as a whole: the methods (_DSM) of the NVDIMM root device, ACPI 6.2, 9.20.7:
 * address range scrub, clearing of errors, and their injection for tests.
 *
 * The firmware keeps a list of the errors that it knows of: those that it injected, those that a full scrub found. A quick scrub returns
 * that list and touches no media; errors that nobody met yet are found only by a full one, which takes time by the media's size.
 *
 * Invariant: one scrub at a time. An error is known only while it is there.
 */
import { type Range, createRangeSet } from '@holdfast/lib';
import { CACHE_LINE_SIZE, type Machine } from './hardware.js';

/** Status words of the methods; the upper half is the method's own. */
export const DSM_STATUS = { success: 0, notSupported: 1, invalid: 2, arsInProgress: 6 } as const;
/** The upper half of an ARS status word: how the last scrub ended. */
export const ARS_STATUS = { done: 0, busy: 1, none: 2, stopped: 3 } as const;
/** What is scrubbed: bits of the scrub type. */
export const ARS_TYPE = { volatile: 1, persistent: 2 } as const;
/** Flag of a scrub's start: return what is known, do not look. */
export const ARS_RETURN_KNOWN = 2;
/** Flag of a scrub's result: there are more records than fit. */
export const ARS_OVERFLOW = 1;
/** Option of an injection: tell the operating system. */
export const INJECT_NOTIFY = 1;

export interface ArsRange {
  readonly address: number;
  readonly length: number;
}

export interface ArsStatus extends ArsRange {
  readonly status: number;
  /** Where a scrub that stopped can go on. */
  readonly restartAddress: number;
  readonly restartLength: number;
  readonly type: number;
  readonly flags: number;
  readonly records: readonly ArsRange[];
}

export interface NvdimmRootMethods {
  arsCap(range: ArsRange): { readonly status: number; readonly maxArsOut: number; readonly clearErrUnit: number };
  arsStart(request: ArsRange & { readonly type: number; readonly flags: number }): { readonly status: number; readonly scrubTimeSec: number };
  arsStatus(): ArsStatus;
  clearError(range: ArsRange): { readonly status: number; readonly cleared: number };
  arsErrorInject(request: ArsRange & { readonly options: number }): { readonly status: number };
  arsErrorInjectClear(range: ArsRange): { readonly status: number };
  arsErrorInjectStatus(): { readonly status: number; readonly records: readonly ArsRange[] };
  /** Whom to tell of an uncorrectable error (notification 0x81 on the root device); undefined for nobody. */
  onUncorrectableError: (() => void) | undefined;
}

export interface NvdimmRootSpec {
  /** Bytes in which errors are cleared, and which a record covers at least; a power of two. Default 256, as Optane's. */
  readonly clearErrUnit?: number;
  /** Bytes of a status answer: 44 and 24 for each record. Default 4096. */
  readonly maxArsOut?: number;
  /** How fast media are read. Default 4 GB/s. */
  readonly scrubBytesPerSec?: number;
}

const STATUS_HEADER = 44;
const RECORD = 24;

/** A scrub, running or ended. */
interface Scrub {
  readonly request: ArsRange & { readonly type: number; readonly flags: number };
  readonly startedAt: number;
  readonly endsAt: number;
}

export function createNvdimmRootMethods(machine: Pick<Machine, 'poison' | 'clock'>, spec: NvdimmRootSpec = {}): NvdimmRootMethods {
  const { clearErrUnit = 256, maxArsOut = 4096, scrubBytesPerSec = 4e9 } = spec;
  const { clock, poison } = machine;
  const known = createRangeSet();
  const injected = createRangeSet();
  const maxRecords = Math.floor((maxArsOut - STATUS_HEADER) / RECORD);
  let scrub: Scrub | undefined;

  /** The last scrub, if there was one since power-on: the clock began anew then. */
  const current = (): Scrub | undefined => (scrub && scrub.startedAt <= clock.now ? scrub : undefined);
  const isBusy = (): boolean => (current()?.endsAt ?? 0) > clock.now;
  const isValid = ({ address, length }: ArsRange, unit: number): boolean =>
    Number.isSafeInteger(address) && Number.isSafeInteger(length) && length > 0 && address % unit === 0 && length % unit === 0;

  function learn({ address, length, flags }: Scrub['request']): readonly Range[] {
    const there = poison.within(address, length);
    if ((flags & ARS_RETURN_KNOWN) === 0) for (const { start, end } of there) known.add(start, end);
    return known.within(address, address + length);
  }

  function resultOf({ request }: Scrub): ArsStatus {
    const { address, length, type } = request;
    const all = learn(request).map(({ start, end }) => ({ address: start, length: end - start }));
    const records = all.slice(0, maxRecords);
    const rest = all[maxRecords];
    const scrubbed = rest ? rest.address - address : length;
    return {
      status: (rest ? ARS_STATUS.stopped : ARS_STATUS.done) * 65536,
      address, length: scrubbed, type, records,
      restartAddress: rest ? rest.address : 0,
      restartLength: rest ? length - scrubbed : 0,
      flags: rest ? ARS_OVERFLOW : 0,
    };
  }

  function forget(start: number, end: number): void {
    poison.clear(start, end - start);
    known.remove(start, end);
    injected.remove(start, end);
  }

  const nothing = { address: 0, length: 0, type: 0, restartAddress: 0, restartLength: 0, flags: 0, records: [] };
  const methods: NvdimmRootMethods = {
    arsCap: () => ({ status: ARS_TYPE.persistent * 65536, maxArsOut, clearErrUnit }),
    arsStart(request) {
      if (isBusy()) return { status: DSM_STATUS.arsInProgress, scrubTimeSec: Math.ceil((scrub!.endsAt - clock.now) / 1e9) };
      if (request.length <= 0) return { status: DSM_STATUS.invalid, scrubTimeSec: 0 };
      const quick = (request.flags & ARS_RETURN_KNOWN) !== 0;
      const ns = quick ? 0 : (request.length / scrubBytesPerSec) * 1e9;
      scrub = { request, startedAt: clock.now, endsAt: clock.now + ns };
      return { status: DSM_STATUS.success, scrubTimeSec: Math.ceil(ns / 1e9) };
    },
    arsStatus() {
      const last = current();
      if (!last) return { ...nothing, status: ARS_STATUS.none * 65536 };
      return isBusy() ? { ...nothing, status: ARS_STATUS.busy * 65536 } : resultOf(last);
    },
    clearError(range) {
      if (!isValid(range, clearErrUnit)) return { status: DSM_STATUS.invalid, cleared: 0 };
      forget(range.address, range.address + range.length);
      return { status: DSM_STATUS.success, cleared: range.length };
    },
    arsErrorInject({ options, ...range }) {
      if (!isValid(range, CACHE_LINE_SIZE)) return { status: DSM_STATUS.invalid };
      poison.inject(range.address, range.length);
      for (const set of [known, injected]) set.add(range.address, range.address + range.length);
      if (options & INJECT_NOTIFY) methods.onUncorrectableError?.();
      return { status: DSM_STATUS.success };
    },
    arsErrorInjectClear(range) {
      if (!isValid(range, CACHE_LINE_SIZE)) return { status: DSM_STATUS.invalid };
      for (const { start, end } of injected.within(range.address, range.address + range.length)) forget(start, end);
      return { status: DSM_STATUS.success };
    },
    arsErrorInjectStatus: () => ({
      status: DSM_STATUS.success,
      records: injected.within(0, Number.MAX_SAFE_INTEGER).slice(0, maxRecords).map(({ start, end }) => ({ address: start, length: end - start })),
    }),
    onUncorrectableError: undefined,
  };
  return methods;
}
