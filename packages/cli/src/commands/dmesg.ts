/** dmesg(1): the kernel log. `-t` without times, `-x` with facility and level, `-l LEVEL,…` only these, `-r` raw. */
import { type LogLine, formatLogLine } from '@holdfast/kernel';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const;

export const dmesg: Command = {
  usage: 'dmesg [-t] [-x] [-r] [-l LEVEL,…]',
  help: `Levels: ${LEVELS.join(' ')}`,
  run({ args, system, out }) {
    const { has, value } = getopt(args, {
      short: { t: 'notime', x: 'decode', r: 'raw', l: 'level' },
      long: { notime: false, decode: false, raw: false, level: true },
    });
    const wanted = value('level')?.split(',');
    const unknown = wanted?.find((name) => !(LEVELS as readonly string[]).includes(name));
    if (unknown !== undefined) throw new UsageError(`unknown level '${unknown}'`);
    const show = (line: LogLine): string => {
      const text = has('notime') ? line.text : formatLogLine(line);
      if (has('raw')) return `<${line.level}>${text}`;
      return has('decode') ? `kern  :${LEVELS[line.level].padEnd(6)}: ${text}` : text;
    };
    for (const line of system.log.lines) {
      if (!wanted || wanted.includes(LEVELS[line.level])) out(`${show(line)}\n`);
    }
  },
};
