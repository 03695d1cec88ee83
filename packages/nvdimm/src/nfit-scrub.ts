/**
 * Address range scrub: the NFIT bus asks its firmware which bytes are lost, at boot, when told to and when an error is reported.
 * Mirrors drivers/acpi/nfit/core.c: ars_register, acpi_nfit_scrub, ars_complete, acpi_nfit_ars_rescan, scrub_show, scrub_store; and mce.c.
 *
 *   boot ── quick scrub of each range, before its region ──▶ work: full scrub of each, one after another ──▶ idle, count + 1
 *   scrub ← 1 ── full ─┐
 *   notification 0x81 ─┴ quick, full with hw_error_scrub ──▶ work
 *
 * The work looks at the firmware once in a while: after 1 s, then 2, 4 … 1800; reading `scrub` brings it back to 1 s.
 *
 * Invariant: at most one timer waits for the work. A range whose scrub failed is never scrubbed again.
 */
import { KERN, KernelError, parseInteger, readWrite } from '@holdfast/lib';
import type { Attribute, Printk } from '@holdfast/lib';
import { ARS_OVERFLOW, ARS_RETURN_KNOWN, ARS_STATUS, ARS_TYPE, type ArsStatus, type Clock, DSM_STATUS, type NvdimmRootMethods } from '@holdfast/machine';
import type { NdBus, NdRegion } from './nd-device.js';
import { notifyPoison } from './poison.js';

/** A range of the NFIT that can be scrubbed. */
export interface ScrubRange {
  readonly start: number;
  readonly sizeBytes: number;
  readonly isVolatile: boolean;
  /** Once it is registered. */
  region: NdRegion | undefined;
}

export interface NfitScrub {
  /** `scrub` and `hw_error_scrub` of the bus. */
  readonly attributes: readonly Attribute[];
  /** Before a range's region is registered: take up the errors that the firmware knows. */
  register(range: ScrubRange): void;
  /** All regions are there: begin the full scrub. */
  begin(): void;
  /** The firmware reports an uncorrectable error. */
  uncorrectableError(): void;
  /** A load met poison at `addr`, in the line there. */
  machineCheck(addr: number): void;
  /** Is the work due or waiting? User space may not start a scrub then. */
  isBusy(): boolean;
  stop(): void;
}

export interface NfitScrubDeps {
  readonly bus: () => NdBus;
  readonly methods: NvdimmRootMethods | undefined;
  readonly clock: Pick<Clock, 'after' | 'advance'>;
  readonly printk: Printk;
}

type Request = 'quick' | 'full';

interface RangeState {
  readonly range: ScrubRange;
  failed: boolean;
  readonly requested: Set<Request>;
}

/** What a look at the firmware's status found (the errnos of ars_get_status). */
type Query = 'ok' | 'busy' | 'overflow' | 'none' | 'failed';

const SECOND = 1e9;
const MAX_TIMEOUT = 30 * 60;
const LINE = 64;

export function createNfitScrub({ bus, methods, clock, printk }: NfitScrubDeps): NfitScrub {
  const ranges: RangeState[] = [];
  let count = 0;
  let busy = false;
  let timeout = 1;
  let cancel: (() => void) | undefined;
  let hwErrorScrub = false;
  /** Reading the state hurries the work once, until it has run. */
  let hurried = false;
  /** Records are news only after a scrub was started. */
  let valid = true;
  let status: ArsStatus | undefined;
  let scrubbing: RangeState | undefined;

  function query(): Query {
    if (!methods) return 'failed';
    status = methods.arsStatus();
    if (status.status & 0xffff) return 'failed';
    const how = Math.floor(status.status / 65536);
    if (how === ARS_STATUS.busy) return 'busy';
    if (how === ARS_STATUS.none) return 'none';
    if (how > ARS_STATUS.stopped) return 'failed';
    if (valid) for (const { address, length } of status.records) bus().badrange.add(address, length);
    valid = false;
    return how === ARS_STATUS.stopped && status.flags & ARS_OVERFLOW ? 'overflow' : 'ok';
  }

  function start({ range }: RangeState, flags: number, from = { address: range.start, length: range.sizeBytes }): number {
    const type = range.isVolatile ? ARS_TYPE.volatile : ARS_TYPE.persistent;
    const answer = methods!.arsStart({ ...from, type, flags }).status;
    if ((answer & 0xffff) === DSM_STATUS.success) valid = true;
    return answer & 0xffff;
  }

  /** The scrub that this kernel began has got to the end of its range: its drivers learn of the errors. */
  function complete(state: RangeState): void {
    if (scrubbing !== state || !status) return;
    const { start: first, sizeBytes, region } = state.range;
    if (status.address >= first + sizeBytes || status.address + status.length < first + sizeBytes) return;
    scrubbing = undefined;
    if (region) notifyPoison(region);
  }

  function goOn(): void {
    if (!scrubbing || !status) return;
    start(scrubbing, ARS_RETURN_KNOWN & status.flags, { address: status.restartAddress, length: status.restartLength });
  }

  /** One round of the work: the seconds to the next, or 0 if there is no more to do. */
  function round(found: Query): number {
    if (found === 'busy') return Math.min(MAX_TIMEOUT, timeout * 2);
    if (found === 'overflow') {
      goOn();
      return 1;
    }
    for (const state of ranges) complete(state);
    for (const state of ranges) {
      if (state.failed) continue;
      const next: Request | undefined = state.requested.has('quick') ? 'quick' : state.requested.has('full') ? 'full' : undefined;
      if (!next) continue;
      const refused = start(state, next === 'quick' ? ARS_RETURN_KNOWN : 0);
      if (refused === DSM_STATUS.arsInProgress) return 1;
      if (refused === DSM_STATUS.success) {
        state.requested.delete(next);
        scrubbing = state;
        // The next request begins with the others.
        ranges.splice(ranges.indexOf(state), 1);
        ranges.push(state);
        return 1;
      }
      printk(`nd_region ${state.range.region?.name ?? ''}: ARS: range failed (${refused})`, KERN.err);
      state.failed = true;
    }
    return 0;
  }

  function work(): void {
    cancel = undefined;
    const seconds = round(query());
    status = undefined;
    hurried = false;
    if (seconds > 0) return schedule(seconds);
    busy = false;
    count++;
  }

  function schedule(seconds: number): void {
    busy = true;
    timeout = seconds;
    // As queue_delayed_work: what waits already keeps its time.
    cancel ??= clock.after(seconds * SECOND, work);
  }

  /** @throws KernelError EBUSY if all is requested already, ENOTTY if nothing can be scrubbed */
  function rescan(request: Request): void {
    const able = ranges.filter(({ failed }) => !failed);
    const fresh = able.filter(({ requested }) => !requested.has(request));
    for (const { requested } of fresh) requested.add(request);
    if (fresh.length > 0) return schedule(1);
    throw new KernelError(able.length > 0 ? 'EBUSY' : 'ENOTTY', able.length > 0 ? 'a scrub of all ranges is requested already' : 'no range can be scrubbed');
  }

  function tryRescan(request: Request): void {
    try {
      rescan(request);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
  }

  function show(): string {
    clock.advance(0);
    if (busy && !hurried) {
      hurried = true;
      timeout = 1;
      cancel?.();
      cancel = clock.after(SECOND, work);
    }
    return `${count}${busy ? '+' : ''}`;
  }

  const scrub = readWrite('nfit/scrub', show, (text) => {
    if (parseInteger(text, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) !== 1) throw new KernelError('EINVAL', `scrub '${text.trim()}': expected 1`);
    clock.advance(0);
    rescan('full');
  });
  const onHwError = readWrite('nfit/hw_error_scrub', () => (hwErrorScrub ? 1 : 0), (text) => {
    const value = parseInteger(text, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    if (value !== 0 && value !== 1) throw new KernelError('EINVAL', `hw_error_scrub '${text.trim()}': expected 0 or 1`);
    hwErrorScrub = value === 1;
  });

  return {
    attributes: methods ? [scrub, onHwError] : [onHwError],
    register(range) {
      const state: RangeState = { range, failed: true, requested: new Set() };
      ranges.push(state);
      const cap = methods?.arsCap({ address: range.start, length: range.sizeBytes });
      const wanted = range.isVolatile ? ARS_TYPE.volatile : ARS_TYPE.persistent;
      if (!cap || cap.status & 0xffff || !(Math.floor(cap.status / 65536) & wanted)) return;
      state.failed = false;
      state.requested.add('quick').add('full');
      const found = query();
      if (found === 'busy') return;
      if (found === 'failed') {
        state.failed = true;
        return;
      }
      const refused = start(state, ARS_RETURN_KNOWN);
      if (refused === DSM_STATUS.arsInProgress) return;
      if (refused !== DSM_STATUS.success) {
        state.failed = true;
        return;
      }
      state.requested.delete('quick');
      if (query() !== 'ok') return;
      scrubbing = state;
      complete(state);
      scrubbing = undefined;
    },
    begin: () => schedule(1),
    uncorrectableError: () => tryRescan(hwErrorScrub ? 'full' : 'quick'),
    machineCheck(addr) {
      const hit = ranges.find(({ range }) => !range.isVolatile && addr >= range.start && addr < range.start + range.sizeBytes);
      if (!hit) return;
      bus().badrange.add(Math.floor(addr / LINE) * LINE, LINE);
      if (hit.range.region) notifyPoison(hit.range.region);
      if (hwErrorScrub) tryRescan('full');
    },
    isBusy: () => busy,
    stop: () => cancel?.(),
  };
}
