/**
 * Why something was refused: the rule that fired, and the nearest request that would succeed. What `--explain` prints.
 */
export interface Explanation {
  /** One sentence: what was asked, and which rule of which layer said no. */
  readonly rule: string;
  /** What to ask for instead, as a command or a sentence; left out where nothing near would do. */
  readonly nearest?: string;
}

/** The lines that a person reads. */
export function formatExplanation({ rule, nearest }: Explanation): string {
  return `why: ${rule}\n${nearest === undefined ? '' : `try: ${nearest}\n`}`;
}
