import { describe, expect, it } from 'vitest';
import { followScript } from './guest-script.js';

const record = (...lines: (string | [string, number])[]) => lines.map((line, n) => (typeof line === 'string' ? { n, cmd: line, rc: 0 } : { n, cmd: line[0], rc: line[1] }));
const follow = (guest: string, commands: ReturnType<typeof record>, captures: string[] = [], known = /./) => {
  const { steps, stoppedAt } = followScript(guest, commands, captures, (cmd) => known.test(cmd));
  return { steps: steps.map((step) => ('capture' in step ? `(${step.capture})` : step.command.cmd)), stoppedAt };
};

describe('followScript', () => {
  it('takes captures where the script has them', () => {
    const guest = 'cap boot\nrun lite; host monitor x\nsleep 3\ncap end';
    expect(follow(guest, record('lite', 'host monitor x'), ['boot', 'end'])).toEqual({ steps: ['(boot)', 'lite', 'host monitor x', '(end)'], stoppedAt: undefined });
  });

  it('goes through loops over words', () => {
    const guest = 'for b in 0 7; do\n\trun "echo offline > m$b"; run "cat m$b"\ndone\ncap end\nfor b in 9; do run "cat m$b"; done';
    expect(follow(guest, record('echo offline > m0', 'cat m0', 'echo offline > m7', 'cat m7', 'cat m9'), ['end']).steps).toEqual([
      'echo offline > m0', 'cat m0', 'echo offline > m7', 'cat m7', '(end)', 'cat m9',
    ]);
  });

  it('goes through loops over files as far as the record tells', () => {
    const guest = 'for m in /sys/memory*; do [ "$(cat $m/state)" = offline ] && run "echo online > $m/state"; done\ncap online\nrun lite';
    expect(follow(guest, record('echo online > /sys/memory1/state', 'echo online > /sys/memory2/state', 'lite'), ['online']).steps).toEqual([
      'echo online > /sys/memory1/state', 'echo online > /sys/memory2/state', '(online)', 'lite',
    ]);
  });

  it('knows what a command came to, and finds a capture whose name was computed', () => {
    const guest = 'for o in "-m raw" "-m sector"; do\n\trun make $o\n\t[ $RC = 0 ] && cap after-$(echo $o | sed \'s/-m //\')\ndone';
    expect(follow(guest, record('make -m raw', ['make -m sector', 1]), ['boot', 'after-raw']).steps).toEqual(['make -m raw', '(after-raw)', 'make -m sector']);
  });

  it('stops at a command that the console does not know, and at what it cannot follow', () => {
    expect(follow('run lite\nrun mkfs x\ncap end', record('lite', 'mkfs x'), ['end'], /^lite/)).toEqual({ steps: ['lite'], stoppedAt: 'mkfs x' });
    expect(follow('run lite\nwhile true; do', record('lite'))).toEqual({ steps: ['lite'], stoppedAt: 'while true' });
  });
});
