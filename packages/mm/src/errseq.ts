/**
 * Errors of writeback, as each open file is told of them once. Mirrors lib/errseq.c.
 *
 * Invariant: an error that was recorded is seen by every file that sampled before it, and by the first that samples after it if nobody has
 * seen it yet.
 * Differs from Linux: the counter, the error and the mark of having been seen are three fields instead of one word, and never wrap.
 */
import type { ErrnoName } from '@holdfast/lib';

export interface ErrSeq {
  error: ErrnoName | undefined;
  /** Counts errors that somebody could have missed. */
  sequence: number;
  seen: boolean;
}

export function createErrSeq(): ErrSeq {
  return { error: undefined, sequence: 0, seen: true };
}

/** Record an error. It counts anew only if somebody has seen the last one. */
export function errseqSet(errors: ErrSeq, error: ErrnoName): void {
  if (errors.seen) errors.sequence++;
  errors.error = error;
  errors.seen = false;
}

/** Where a file that is being opened starts: an error that nobody has seen is still news to it. */
export function errseqSample(errors: ErrSeq): number {
  return errors.seen ? errors.sequence : errors.sequence - 1;
}

/** The error since a sample, if any, and the sample to go on with (errseq_check_and_advance). */
export function errseqCheckAndAdvance(errors: ErrSeq, since: number): { readonly error: ErrnoName | undefined; readonly since: number } {
  if (since === errors.sequence) return { error: undefined, since };
  errors.seen = true;
  return { error: errors.error, since: errors.sequence };
}
