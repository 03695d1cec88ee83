/**
 * Log lines that come in bursts are taken ten at a time. Mirrors lib/ratelimit.c with its defaults: 10 in 5 s.
 */
import { KERN, type LogLevel, type Printk } from './printk.js';

const INTERVAL_NS = 5e9;
const BURST = 10;

/** Write these lines, or count them as suppressed. */
export type PrintkRatelimited = (lines: readonly string[]) => void;

/** @param site the function that speaks, as the line about suppressed ones names it */
export function createRatelimit(printk: Printk, clock: { readonly now: number }, site: string, level: LogLevel = KERN.info): PrintkRatelimited {
  let begin = -Infinity;
  let printed = 0;
  let missed = 0;
  return (lines) => {
    if (clock.now > begin + INTERVAL_NS) {
      if (missed > 0) printk(`${site}: ${missed} callbacks suppressed`, KERN.warning);
      begin = clock.now;
      printed = 0;
      missed = 0;
    }
    if (printed === BURST) {
      missed++;
      return;
    }
    printed++;
    for (const line of lines) printk(line, level);
  };
}
