/**
 * The language of the control socket: a line of JSON each way, UTF-8, ended by a newline.
 *
 * A server says first `{"holdfast-nbd":1}`, with its version. Then each request `{"id":ID,"method":NAME,"params":{…}}` has one answer, in
 * order: `{"id":ID,"result":{…}}` or `{"id":ID,"error":{"code":ERRNO,"message":TEXT}}`. An ID is a number or a string of the client's choice,
 * and null in an answer to what could not be read. A later version may add methods, params and fields, and a client ignores fields that it does
 * not know; a server refuses methods and params that it does not know.
 */
import type { FaultSpec, ListedFault } from '../faults/fault-spec.js';
import type { KeepRule } from '../power/keep-rule.js';
import type { OnCut } from '../power/power-switch.js';

export const CONTROL_VERSION = 1;
/** Bytes of one request, its newline not counted. */
export const MAX_LINE_BYTES = 64 * 1024;

/** What was remembered of a cut. */
export interface CutSummary {
  readonly cut: number;
  readonly keep: KeepRule;
  readonly seed: number;
  /** Units whose fate was open, and how many were left with something older than what a reader saw. */
  readonly open: number;
  readonly lost: number;
  /** The same for two runs that had the same cut. */
  readonly digest: string;
}

export interface ExportSummary {
  readonly name: string;
  /** Undefined while there is no power. */
  readonly sizeBytes?: number;
}

export interface NbdStatus {
  readonly power: 'on' | 'off';
  readonly exports: readonly ExportSummary[];
  readonly clients: number;
  /** Machines that run on outcomes of cuts. */
  readonly states: number;
  readonly cuts: readonly CutSummary[];
  /** Requests until the power is cut by itself. */
  readonly armed?: number;
  readonly faults: number;
  readonly reads: number;
  readonly writes: number;
  readonly others: number;
  readonly errors: number;
  /** The trace that is written, and its records so far. */
  readonly recording?: { readonly file: string; readonly records: number };
}

export interface CutParams {
  readonly keep?: KeepRule;
  readonly seed?: number;
  readonly onCut?: OnCut;
}

export interface StatesParams {
  /** The first export if not given. */
  readonly export?: string;
  /** The last cut if not given. */
  readonly cut?: number;
}

/** The methods: what they take, and what they answer. */
export interface ControlMethods {
  status: { params: Record<never, never>; result: NbdStatus };
  powercut: { params: CutParams; result: CutSummary & { readonly effectMicros: number } };
  /** Cut the power by itself, before the request that comes when `after` more have been carried out. */
  'powercut.arm': { params: CutParams & { readonly after: number }; result: { readonly after: number } };
  restore: { params: Record<never, never>; result: Record<never, never> };
  /** How many states an export has after a cut, as a decimal number of any length. */
  'states.count': { params: StatesParams; result: { readonly export: string; readonly cut: number; readonly count: string } };
  /** Names of exports, from state `from` on, at most `limit` (1000 at most). */
  'states.list': { params: StatesParams & { readonly from?: string; readonly limit?: number }; result: { readonly names: readonly string[] } };
  /** Names of up to `count` different states (10,000 at most), chosen by the seed. */
  'states.sample': { params: StatesParams & { readonly count: number; readonly seed?: number }; result: { readonly names: readonly string[] } };
  /** Put a named point into the trace. */
  mark: { params: { readonly name: string }; result: { readonly record: number } };
  'faults.add': { params: FaultSpec; result: { readonly fault: number } };
  'faults.list': { params: Record<never, never>; result: { readonly faults: readonly ListedFault[] } };
  /** One, or all. */
  'faults.clear': { params: { readonly fault?: number }; result: { readonly cleared: number } };
}

export type ControlMethod = keyof ControlMethods;
export type ControlParams<M extends ControlMethod> = ControlMethods[M]['params'];
export type ControlResult<M extends ControlMethod> = ControlMethods[M]['result'];

/** A request that cannot be carried out; the code is the name of an errno. */
export class ControlError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'ControlError';
    this.code = code;
  }
}
