/** The console, as a user of busybox and util-linux would meet it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../src/commands/table.js';
import { fakeSystem } from './fake-kernel.js';
import { type Outcome, runLines } from './run-lines.js';

const run = (...lines: string[]): Promise<Outcome> => runLines(fakeSystem(), lines);

describe('words and lists', () => {
  it.each([
    ['echo a  b', 'a b\n'],
    [`echo 'a  b' "c $? d" e\\ f`, 'a  b c 0 d e f\n'],
    ['echo ""', '\n'],
    ['echo "" x', ' x\n'],
    ['echo -n hi; echo " there"', 'hi there\n'],
    ['false; echo $?', '1\n'],
    ['false && echo no; echo yes', 'yes\n'],
    ['false || echo yes', 'yes\n'],
    ['true || echo no && echo yes', 'yes\n'],
    ['echo $NOTHING x', 'x\n'],
    ['echo "\\$?" \'$?\'', '$? $?\n'],
    ['echo a # b', 'a\n'],
    ['echo a#b', 'a#b\n'],
    ['echo one | cat', 'one\n'],
    ['echo b > /tmp/x; echo c >> /tmp/x; cat /tmp/x', 'b\nc\n'],
    ['cat < /proc/cmdline', 'quiet\n'],
    ['exec 3<>/tmp/x; exec 3>&-; ls /tmp', 'x\n'],
    ['cat /proc/nope 2> /tmp/e; cat /tmp/e', "cat: can't open '/proc/nope': No such file or directory\n"],
    ['cat /proc/nope 2>&1 | grep -c open', '1\n'],
    ['echo /sys/devices/system/memory/memory?', '/sys/devices/system/memory/memory0 /sys/devices/system/memory/memory1 /sys/devices/system/memory/memory2\n'],
    ['echo /no*/x "/sys/*"', '/no*/x /sys/*\n'],
    ['cd /sys; cd block; pwd; ls', '/sys/block\npmem0\n'],
    ['echo -e "a\\tb\\x41"', 'a\tbA\n'],
    ['a=1 b="x  y"; echo $a$b "$b" ${a}z', '1x y x  y 1z\n'],
    ['o="-n -x"; for w in $o "$o" z; do echo "<$w>"; done', '<-n>\n<-x>\n<-n -x>\n<z>\n'],
    ['for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done', '1\n3\n'],
    ['if false; then echo a; elif [ 1 -lt 2 ]; then echo b; else echo c; fi', 'b\n'],
    ['f() { echo "$# $1 $2"; return 3; echo no; }; f "a b" c; echo $?', '2 a b c\n3\n'],
    ['f() { for x in "$@"; do echo "<$x>"; done; }; f "a b" c; f', '<a b>\n<c>\n'],
    ['x=out; f() { echo $x; }; x=in f; echo $x', 'in\nout\n'],
    ['S=$(($(cat /sys/block/pmem0/size) * 512)); echo "$((S-512)) $((S / 4096)) $((2+3*4)) $(((2+3)*4))"', '65024 16 14 20\n'],
    ["echo after-$(echo -m fsdax -M mem | sed 's/-[mM] //g; s/ /-/g')", 'after-fsdax-mem\n'],
    ['for f in /sys/block/*/ro; do echo $f; done | cat', '/sys/block/pmem0/ro\n'],
    ['{ echo a; echo b; } | wc -l', '2\n'],
    ['for i in a\ndo\n  echo $i\ndone\n\necho end', 'a\nend\n'],
  ])('%s', async (line, out) => expect(await run(line)).toMatchObject({ out, err: '' }));
});

describe('what goes wrong', () => {
  it.each([
    ['foo', 127, 'sh: foo: not found\n'],
    ['constructor', 127, 'sh: constructor: not found\n'],
    ['echo "a', 2, 'sh: syntax error: unterminated quoted string\n'],
    ['echo a &&', 2, 'sh: syntax error: unexpected end of file\n'],
    ['| cat', 2, 'sh: syntax error: unexpected "|"\n'],
    ['echo a &', 2, 'sh: syntax error: unexpected "&"\n'],
    ['; echo', 2, 'sh: syntax error: unexpected ";"\n'],
    ['for i in a; do echo', 2, 'sh: syntax error: unexpected end of file (expecting "done")\n'],
    ['done', 2, 'sh: syntax error: unexpected "done"\n'],
    ['if true; then fi; }', 2, 'sh: syntax error: unexpected "}"\n'],
    ['echo $(echo', 2, 'sh: syntax error: unexpected end of file (expecting ")")\n'],
    ['echo $((1/0))', 2, 'sh: divide by zero\n'],
    ['f() { f; }; f', 2, 'sh: functions call each other more than 100 deep\n'],
    ['[ a = b', 1, "[: missing ]\nTry '[ --help' for more information.\n"],
    ['cat /nope', 1, "cat: can't open '/nope': No such file or directory\n"],
    ['cat /proc', 1, 'cat: read error: Is a directory\n'],
    ['cat < /nope', 1, "sh: can't open /nope: no such file\n"],
    ['exec 3</nope/x; echo no', 1, "sh: can't open /nope/x: no such file\n"],
    ['exec 3<>/nope/x', 1, "sh: can't create /nope/x: nonexistent directory\n"],
    ['cd /nope', 1, 'sh: No such file or directory\n'],
    ['echo online > /sys/devices/system/memory/memory0/state', 1, 'sh: write error: Invalid argument\n'],
    ['echo x > /sys/devices/system/memory/memory99/state', 1, "sh: can't create /sys/devices/system/memory/memory99/state: nonexistent directory\n"],
    ['echo x > /proc/new', 1, "sh: can't create /proc/new: Permission denied\n"],
    ['echo x > /proc/cmdline', 1, "sh: can't create /proc/cmdline: Permission denied\n"],
    ['lsmem -z', 1, "lsmem: invalid option -- 'z'\nTry 'lsmem --help' for more information.\n"],
    ['lsblk --what', 1, "lsblk: unrecognized option '--what'\nTry 'lsblk --help' for more information.\n"],
    ['lsmem -o RANGE,FOO', 1, "lsmem: unknown column: FOO\nTry 'lsmem --help' for more information.\n"],
    ['blockdev --getro /dev/pmem9', 1, "blockdev: can't open '/dev/pmem9': No such file or directory\n"],
    ['dd if=/dev/zero of=/dev/pmem0 bs=4096 seek=16 count=1', 1, "dd: error writing '/dev/pmem0': No space left on device\n1+0 records in\n0+0 records out\n"],
    ['dd if=/dev/zero of=/dev/pmem0 bs=32k', 1, "dd: error writing '/dev/pmem0': No space left on device\n3+0 records in\n2+0 records out\n"],
    ['dd if=/dev/zero of=/dev/pmem0 bs=4096 seek=17 count=1', 1, 'dd: /dev/pmem0: Invalid argument\n'],
    ['blockdev --setbsz 8192 /dev/pmem0', 1, 'blockdev: /dev/pmem0: Invalid argument\n'],
    ['blockdev --setra /dev/pmem0', 1, "blockdev: --setra needs a number\nTry 'blockdev --help' for more information.\n"],
    ['dd if=/nope', 1, "dd: can't open '/nope': No such file or directory\n"],
    ['dd bs=0', 1, "dd: invalid number: '0'\nTry 'dd --help' for more information.\n"],
    ['dd foo', 1, "dd: unrecognized operand 'foo'\nTry 'dd --help' for more information.\n"],
  ])('%s', async (line, rc, err) => expect(await run(line)).toEqual({ rc, out: '', err }));

  it('goes on behind a command that failed', async () => expect(await run('cat /nope; echo $?')).toMatchObject({ rc: 0, out: '1\n' }));
});

describe('bytes on a disk', () => {
  it.each([
    ['echo hello > /dev/pmem0', 'head -c 6 /dev/pmem0', 'hello\n'],
    ['echo hello | dd of=/dev/pmem0 seek=1 conv=fsync,notrunc', 'dd if=/dev/pmem0 skip=1 count=1 | head -c 5', 'hello'],
    ['echo hold > /dev/pmem0', 'hexdump -C -n 32 /dev/pmem0', '00000000  68 6f 6c 64 0a 00 00 00  00 00 00 00 00 00 00 00  |hold............|\n00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n00000020\n'],
    ['echo hold > /dev/pmem0', 'hexdump -n 6 /dev/pmem0', '0000000 6f68 646c 000a                         \n0000006\n'],
    ['true', 'hexdump -C -n 64 /dev/pmem0', '00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000040\n'],
    ['echo hold > /dev/pmem0', 'od -A d -t x1 -N 5 /dev/pmem0', '0000000 68 6f 6c 64 0a\n0000005\n'],
    ['echo hold > /dev/pmem0', 'od -c -N 5 /dev/pmem0', '0000000   h   o   l   d  \\n\n0000005\n'],
    ['echo hold > /dev/pmem0', 'cmp /dev/pmem0 /dev/zero', '/dev/pmem0 /dev/zero differ: byte 1, line 1\n'],
    ['dd if=/dev/zero of=/dev/pmem0 bs=100 count=3 oflag=direct 2>/dev/null', 'echo $?', '0\n'],
    ['dd if=/dev/pmem0 of=/tmp/x bs=100 count=3 iflag=direct 2>/dev/null', 'wc -c /tmp/x', '300 /tmp/x\n'],
    ['blockdev --setro /dev/pmem0', 'blockdev --getro --getsize64 --getss /dev/pmem0', '1\n65536\n512\n'],
  ])('%s; %s', async (first, second, out) => expect(await run(first, second)).toMatchObject({ out }));

  it('keep what was synced over a power cut, and lose the rest and /tmp', async () => {
    const { out, err } = await run('echo A | dd of=/dev/pmem0 conv=fsync,notrunc 2>/dev/null; echo B | dd of=/dev/pmem0 seek=1 2>/dev/null; echo t > /tmp/t', 'powercut', 'head -c 1 /dev/pmem0; head -c 513 /dev/pmem0 | wc -c; hexdump -s 512 -n 2 /dev/pmem0; cat /tmp/t');
    expect(out).toBe('A513\n0000200 0000                                   \n0000202\n');
    expect(err).toBe("cat: can't open '/tmp/t': No such file or directory\n");
  });

  it('are out of reach while the machine is off', async () => {
    expect(await run('poweroff', 'cat /dev/pmem0')).toMatchObject({ rc: 1, err: 'sh: cat: the machine is off; only reboot, powercut, dmesg and help answer\n' });
    expect(await run('poweroff', 'reboot', 'cat /proc/cmdline')).toMatchObject({ out: 'quiet\n' });
  });
});

describe('tables', () => {
  it('lsmem merges what its columns cannot tell apart', async () => {
    expect((await run('lsmem')).out).toBe(
      [
        'RANGE                                  SIZE   STATE REMOVABLE BLOCK',
        '0x0000000000000000-0x0000000017ffffff  384M  online       yes   0-2',
        '0x0000000050000000-0x0000000057ffffff  128M offline              10',
        '',
        'Memory block size:       128M',
        'Total online memory:     384M',
        'Total offline memory:    128M',
        '',
      ].join('\n'),
    );
  });
  it.each([
    ['lsmem -n -o RANGE,ZONES,NODE --summary=never', '0x0000000000000000-0x0000000007ffffff           None    0\n0x0000000008000000-0x0000000017ffffff         Normal    0\n0x0000000050000000-0x0000000057ffffff Normal/Movable    1\n'],
    ['lsmem -rn -S none -o BLOCK', '0-2\n10\n'],
    ['lsblk', 'NAME  MAJ:MIN RM SIZE RO TYPE MOUNTPOINTS\npmem0 259:0    0  64K  0 disk \n'],
    ['lsblk -nb -o NAME,SIZE', 'pmem0 65536\n'],
    ['lsblk -J -o NAME,DAX,SIZE', '{\n   "blockdevices": [\n      {\n         "name": "pmem0",\n         "dax": true,\n         "size": "64K"\n      }\n   ]\n}\n'],
    ['ls -l /dev/pmem0', 'brw-------    1 0        0         259,   0 Jan  1  1970 /dev/pmem0\n'],
    ['dmesg', '[    0.000000] Linux version 6.1.0\n'],
    ['sleep 1.5; uname -sr', 'Linux 6.1.0\n'],
  ])('%s', async (line, out) => expect(await run(line)).toEqual({ rc: 0, out, err: '' }));
});

it('every command loads and explains itself', async () => {
  for (const name of Object.keys(COMMANDS)) expect((await run(`${name} --help`)).out).toMatch(new RegExp(`^\\s*usage: ${name}`, 'i'));
});

it('takes any line without hanging or failing itself', async () => {
  const word = fc.oneof(
    fc.constantFrom(...Object.keys(COMMANDS), '/dev/pmem0', '/proc', '-a', '-n', '--x', '|', '>', '>>', '<', '2>&1', ';', '&&', '||', '"', "'", '\\', '$', '${', '$?', '*', '[', '&', '(', ')', '$(', '$((', 'for', 'in', 'do', 'done', 'if', 'then', 'fi', '{', '}', 'f()', 'f', 'x=1', '$x', '\n', '/tmp/a', 'if=/dev/pmem0'),
    fc.string({ maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 8 }), async (words) => {
      const { rc } = await run(words.join(' '));
      expect(rc).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 300 },
  );
});
