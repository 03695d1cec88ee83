/**
 * The virtual clock: time passes because work is charged for it, never because the host is slow.
 *
 * Invariant: never goes back, except to zero at power-on.
 */
import { BugError } from '@holdfast/lib';
import type { Clock } from './hardware.js';

/** The clock as its machine sees it: the hot path adds to `now` directly. */
export interface MachineClock extends Clock {
  now: number;
}

export function createClock(): MachineClock {
  return {
    now: 0,
    advance(ns) {
      if (!(ns >= 0 && ns < Infinity)) throw new BugError(`clock: cannot advance by ${ns} ns`);
      this.now += ns;
    },
  };
}
