/**
 * The virtual clock: time passes because work is charged for it, never because the host is slow.
 *
 * Invariant: never goes back, except to zero at power-on, when no timer is left. Timers run in the order of their times, those of the
 * same time in the order in which they were set, and only while somebody waits in {@link Clock.advance}: code that works is not interrupted.
 */
import { BugError } from '@holdfast/lib';
import type { Clock } from './hardware.js';

/** The clock as its machine sees it. */
export interface MachineClock extends Clock {
  /** To read it settles what is owed (ledger.ts). */
  now: number;
  /** The time as of what was settled: for those who settle. */
  charged: number;
  /** Power-on: zero, and nobody waits for anything. */
  reset(): void;
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** `settle` charges for all work that was done so far. */
export function createClock(settle: () => void = () => {}): MachineClock {
  return new VirtualClock(settle);
}

/** A class, for V8 looks up the properties of a literal with accessors by name, each time. */
class VirtualClock implements MachineClock {
  charged = 0;
  readonly #settle: () => void;
  #timers: Timer[] = [];

  constructor(settle: () => void) {
    this.#settle = settle;
  }

  get now(): number {
    this.#settle();
    return this.charged;
  }

  set now(ns: number) {
    this.charged = ns;
  }

  advance(ns: number): void {
    if (!(ns >= 0 && ns < Infinity)) throw new BugError(`clock: cannot advance by ${ns} ns`);
    const end = this.now + ns;
    for (let next = this.#timers[0]; next !== undefined && next.at <= end; next = this.#timers[0]) {
      this.#timers.shift();
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = Math.max(this.now, end);
  }

  after(ns: number, run: () => void): () => void {
    const timer = { at: this.now + ns, run };
    const later = this.#timers.findIndex(({ at }) => at > timer.at);
    this.#timers.splice(later < 0 ? this.#timers.length : later, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  reset(): void {
    this.#timers = [];
    this.charged = 0;
  }
}
