/** What a guest does on its file system until the power goes, and what must be left of it. */
export interface CrashWork {
  /** What its numbers count, for people. */
  readonly unit: string;
  /** Sh, with the file system at /m: says `@@synced N` for each piece of work that is promised to last. */
  readonly script: string;
  /** What its files in the file system's root are called, so far as `trouble` reads them. */
  files(synced: readonly number[]): readonly string[];
  /** What is wrong with those of them that are in `folder`; undefined if nothing is. */
  trouble(folder: string, synced: readonly number[]): string | undefined;
}

/** The guest says so of a piece of work that is done for good. */
export const SYNCED = /^@@synced (\d+)$/;
