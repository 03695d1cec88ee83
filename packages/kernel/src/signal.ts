/**
 * A signal that ends what a process was doing: the answer to a touch of memory that is not there. Mirrors force_sig_fault.
 */
import { hex } from '@holdfast/lib';
import type { FaultSignal } from '@holdfast/mm';

/** Thrown by a process's loads and stores; nothing else of the process has changed. */
export class Signal extends Error {
  readonly signal: FaultSignal['signal'];
  readonly code: FaultSignal['code'];
  /** Virtual, of the byte that was touched (si_addr). */
  readonly address: number;

  constructor({ signal, code, address }: FaultSignal) {
    super(`${signal} (${code}) at ${hex(address)}`);
    this.name = 'Signal';
    this.signal = signal;
    this.code = code;
    this.address = address;
  }
}
