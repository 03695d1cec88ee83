/**
 * A kernel option as it must be typed in each of the places where people type it. `!` bothers an interactive shell, `$` bothers every shell
 * and GRUB's own language, which reads what a shell has read before it.
 */

export interface QuotedOption {
  readonly place: string;
  /** What to type or write there. */
  readonly text: string;
}

export function quotedFor(option: string): QuotedOption[] {
  const grub = grubWord(option);
  return [
    { place: 'a shell', text: shellWord(option) },
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
