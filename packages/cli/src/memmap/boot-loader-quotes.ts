/**
 * A kernel option as it must be typed in each of the places where people type it. `!` bothers an interactive shell, `$` bothers every shell
 * and GRUB's own language, which reads what a shell has read before it.
 */

export interface QuotedOption {
  readonly place: string;
  /** What to type or write there. */
  readonly text: string;
}

/** @param option one option or, with spaces between them, several */
export function quotedFor(option: string): QuotedOption[] {
  const grub = eachWord(option, grubWord);
  return [
    { place: 'a shell', text: eachWord(option, shellWord) },
    { place: '/etc/default/grub, then update-grub', text: `GRUB_CMDLINE_LINUX="${inDoubleQuotes(grub)}"` },
    { place: "grub.cfg, at the end of the line 'linux'", text: grub },
    { place: 'grubby', text: `grubby --update-kernel=ALL --args=${shellWord(grub)}` },
    { place: 'systemd-boot, loader/entries/*.conf', text: `options ${option}` },
    { place: '/etc/kernel/cmdline', text: option },
    { place: 'kexec', text: `kexec -l /boot/vmlinuz --initrd=/boot/initrd.img --reuse-cmdline --append=${shellWord(option)}` },
    { place: 'QEMU', text: `-append ${shellWord(option)}` },
    { place: 'WSL, .wslconfig', text: `kernelCommandLine = ${option}` },
    { place: 'holdfast', text: `holdfast boot --cmdline ${shellWord(option)}` },
  ];
}

/** A space between two options is one of the place's own. */
function eachWord(option: string, quote: (word: string) => string): string {
  return option.split(' ').map(quote).join(' ');
}

/** In single quotes nothing is special, history expansion included. */
function shellWord(text: string): string {
  return /^[\w=:,.@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** GRUB's script language: outside quotes, a backslash takes the meaning of what follows it. */
function grubWord(text: string): string {
  return text.replaceAll(/[\\$"'#;&|<>{} \t]/g, String.raw`\$&`);
}

function inDoubleQuotes(text: string): string {
  return text.replaceAll(/[\\$"`]/g, String.raw`\$&`);
}
