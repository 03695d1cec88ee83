/**
 * Which Linux is mirrored: messages, formulas and drivers differ by release, and each subsystem asks here.
 */
import { KernelError } from './kernel-error.js';

export interface KernelRelease {
  readonly major: number;
  readonly minor: number;
  /** As in `uname -r`, such as `6.1.0-56-amd64` or `4.1`. */
  readonly text: string;
}

/** What Holdfast mirrors unless told otherwise: the kernel of the golden captures. */
export const DEFAULT_RELEASE: KernelRelease = { major: 6, minor: 1, text: '6.1.0' };

/**
 * Read a release such as `6.1`, `4.4.0-121-generic` or `5.14.0-570.el9`.
 * @throws KernelError EINVAL if it does not start with two numbers.
 */
export function parseRelease(text: string): KernelRelease {
  const match = /^(\d{1,3})\.(\d{1,4})(?:[.\-+].*|-?rc.*)?$/.exec(text.trim());
  if (!match) throw new KernelError('EINVAL', `kernel release '${text}': expected something like 6.1 or 4.4.0-121-generic`);
  return { major: Number(match[1]), minor: Number(match[2]), text: text.trim() };
}

/** Is the release `major.minor` or later? */
export function releaseAtLeast(release: KernelRelease, major: number, minor: number): boolean {
  return release.major > major || (release.major === major && release.minor >= minor);
}
