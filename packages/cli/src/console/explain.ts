/**
 * Why something was refused: the rule that fired, and the nearest requests that would succeed. What `--explain` prints.
 */
import type { KernelError, NearestRequest } from '@holdfast/lib';

export interface Explanation {
  /** One sentence: what was asked, and which rule of which layer said no. */
  readonly rule: string;
  /** What to ask for instead, each by itself: lines for the console, or what to boot with; left out where nothing near would do. */
  readonly nearest?: readonly string[];
}

/** A request as its tool says it. What a tool has no way to say, it leaves out. */
export interface RequestForm {
  /** The same again. */
  readonly again: string;
  /** With another value for what was refused. */
  readonly withValue?: (value: string) => string | undefined;
  /** For another size, page size or place. */
  readonly withBytes?: (what: 'size' | 'align' | 'start', bytes: number) => string | undefined;
}

/** A kernel's refusal in the words of the tool that asked. */
export function explanationOf({ message, nearest }: KernelError, form: RequestForm): Explanation {
  const requests = nearest.map((request) => inWords(request, form)).filter((request) => request !== undefined);
  return { rule: message, ...(requests.length > 0 ? { nearest: requests } : {}) };
}

function inWords({ value, sizeBytes, align, start, first, instead }: NearestRequest, form: RequestForm): string | undefined {
  return (
    (value === undefined ? undefined : form.withValue?.(String(value))) ??
    (sizeBytes === undefined ? undefined : form.withBytes?.('size', sizeBytes)) ??
    (align === undefined ? undefined : form.withBytes?.('align', align)) ??
    (start === undefined ? undefined : form.withBytes?.('start', start)) ??
    (first === undefined ? instead : `${first} && ${form.again}`)
  );
}

/** The lines that a person reads. */
export function formatExplanation({ rule, nearest = [] }: Explanation): string {
  return [`why: ${rule}`, ...nearest.map((request) => `try: ${request}`), ''].join('\n');
}
