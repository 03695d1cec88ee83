/**
 * The virtual clock: time passes because work is charged for it, never because the host is slow.
 *
 * Invariant: never goes back, except to zero at power-on, when no timer is left. Timers run in the order of their times, those of the
 * same time in the order in which they were set, and only while somebody waits in {@link Clock.advance}: code that works is not interrupted.
 */
import { BugError } from '@holdfast/lib';
import type { Clock } from './hardware.js';

/** The clock as its machine sees it: the hot path adds to `now` directly. */
export interface MachineClock extends Clock {
  now: number;
  /** Power-on: zero, and nobody waits for anything. */
  reset(): void;
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export function createClock(): MachineClock {
  let timers: Timer[] = [];
  return {
    now: 0,
    advance(ns) {
      if (!(ns >= 0 && ns < Infinity)) throw new BugError(`clock: cannot advance by ${ns} ns`);
      const end = this.now + ns;
      for (let next = timers[0]; next !== undefined && next.at <= end; next = timers[0]) {
        timers.shift();
        this.now = Math.max(this.now, next.at);
        next.run();
      }
      this.now = Math.max(this.now, end);
    },
    after(ns, run) {
      const timer = { at: this.now + ns, run };
      const later = timers.findIndex(({ at }) => at > timer.at);
      timers.splice(later < 0 ? timers.length : later, 0, timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
    reset() {
      timers = [];
      this.now = 0;
    },
  };
}
