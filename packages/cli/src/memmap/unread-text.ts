/** What the kernel leaves unread of a `memmap=` option: it stops, without a word, where a number or a sign no longer fits. */
import type { MemmapWarning } from './memmap-rules.js';

/** As memparse reads it (lib/cmdline.c): one letter at most behind the digits. */
const NUMBER = String.raw`(?:0x[\da-f]+|\d+)[kmgtpe]?`;
/** What parse_memmap_one (arch/x86/kernel/e820.c) takes. */
const OPTION = new RegExp(`^${NUMBER}(?:[@#$!]${NUMBER}|%${NUMBER}(?:-${NUMBER})?(?:\\+${NUMBER})?)?`, 'i');

/** @param option with spaces between several, and commas between the ranges of one */
export function unreadText(option: string): MemmapWarning[] {
  const ranges = option.split(' ').flatMap((word) => (word.startsWith('memmap=') ? word.slice('memmap='.length).split(',') : []));
  return ranges.flatMap((text) => {
    const [read] = OPTION.exec(text) ?? [text];
    return read === text
      ? []
      : [{ rule: 'unread', level: 'warning', text: `the kernel reads '${read}', and nothing of the rest, '${text.slice(read.length)}'` }];
  });
}
