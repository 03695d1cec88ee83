/** Lines that say nothing of memory and come whenever they come, or differ from one run to the next. */
const NOISE = /^(?:audit: |clocksource: |tsc: |sched_clock: |hrtimer: |random: |Key type |key |perf: interrupt took|rcu: INFO|clocksource watchdog)/;

/** The lines of a kernel log, without time stamps, and without noise. */
export function messagesIn(log: string): string[] {
  const lines = log.split('\n').map((line) => line.replace(/^\[\s*\d+\.\d+\] ?/, ''));
  if (lines.at(-1) === '') lines.pop();
  return lines.filter((line) => !NOISE.test(line));
}

/** What a command printed, without how fast it was. */
export function withoutTimes(text: string): string {
  return text.split('\n').filter((line) => !/^\d+ bytes .* copied, /.test(line)).join('\n');
}
