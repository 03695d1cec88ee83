/** Lines that say nothing of memory and come whenever they come, or differ from one run to the next. */
const NOISE = /^(?:audit: |clocksource: |tsc: |sched_clock: |hrtimer: |random: |Key type |key |perf: interrupt took|rcu: INFO|clocksource watchdog)/;

/** The lines of a kernel log, without time stamps, and without noise. */
export function messagesIn(log: string): string[] {
  const lines = log.split('\n').map((line) => line.replace(/^\[\s*\d+\.\d+\] ?/, ''));
  if (lines.at(-1) === '') lines.pop();
  return lines.filter((line) => !NOISE.test(line));
}

/** What libndctl and libdaxctl trace of each attribute they read: as many lines as there are devices, in the order of a directory. */
const TRACE =
  /^lib(?:nd|dax)ctl: (?:(?:__sysfs_\w+|__util_modalias_to_module|parse_lbasize_supported): |\w+: \S+: (?:enabled|disabled)$|write_attr: failed to write \w* to \S+\/holder_class: No such device)/;
const SPEED = /^\d+ bytes .* copied, /;

/** What a command printed, without how fast it was, and without the traces of its libraries. */
export function saidBy(text: string): string {
  return text.split('\n').filter((line) => !SPEED.test(line) && !TRACE.test(line)).join('\n');
}
