/**
 * Follows a guest's script along the commands that it is known to have run: so that each capture is taken where the guest took it.
 *
 * It is no shell: what a command was, and what came of it, is in the record. Only the order is read from the script: `run X`, `cap NAME`,
 * `host X`, `for` over words, and over files as far as the record goes on with the loop's commands, and `[ $RC = 0 ] &&`.
 */
import type { CapturedCommand } from './load-case.js';

export type Step = { readonly command: CapturedCommand } | { readonly capture: string };

export interface Followed {
  readonly steps: readonly Step[];
  /** The line behind which nothing could be followed; undefined if all was. */
  readonly stoppedAt: string | undefined;
}

type Statement = { readonly line: string } | { readonly variable: string; readonly words: string; readonly body: readonly Statement[] };

class Stopped extends Error {}

/** @param canReplay whether the console knows a command */
export function followScript(guest: string, commands: readonly CapturedCommand[], captures: readonly string[], canReplay: (cmd: string) => boolean): Followed {
  const steps: Step[] = [];
  const variables = new Map<string, string>();
  let next = 0;
  let lastStatus = 0;

  const matches = (template: string): boolean => commands[next] !== undefined && pattern(template, variables).test(commands[next]!.cmd.trim());
  const take = (line: string): void => {
    const command = commands[next++]!;
    if (!canReplay(command.cmd)) throw new Stopped(command.cmd);
    lastStatus = command.rc ?? lastStatus;
    if (!line.startsWith('kpf ')) steps.push({ command });
  };

  function runLine(full: string): void {
    const conditional = /^\[ \$RC = 0 \] && (.*)$/.exec(full);
    if (conditional && lastStatus !== 0) return;
    const line = conditional?.[1] ?? full;
    const assignment = /^(\w+)=([^$`]*)$/.exec(line);
    const template = commandOf(line);
    if (assignment) variables.set(assignment[1]!, unquote(assignment[2]!));
    else if (template !== undefined && matches(template)) take(line);
    else if (line.startsWith('cap ')) {
      const name = captures.find((each) => pattern(line.slice(4), variables).test(each));
      if (name !== undefined) steps.push({ capture: name });
    } else if (!/^(?:sleep|kpf|true)\b/.test(line) && !(line.startsWith('modprobe ') && canReplay(line))) throw new Stopped(line);
  }

  function runLoop(variable: string, words: string, body: readonly Statement[]): void {
    if (/[*?$`]/.test(words)) {
      variables.delete(variable);
      const templates = body.flatMap((each) => ('line' in each ? (commandOf(each.line.replace(/^\[.*?\] && /, '')) ?? []) : []));
      while (templates.some(matches)) take('run');
      return;
    }
    for (const word of splitWords(words)) {
      variables.set(variable, word);
      runAll(body);
    }
    variables.delete(variable);
  }

  function runAll(statements: readonly Statement[]): void {
    for (const statement of statements) {
      if ('line' in statement) runLine(statement.line);
      else runLoop(statement.variable, statement.words, statement.body);
    }
  }

  try {
    runAll(parse(splitLines(guest)));
    return { steps, stoppedAt: undefined };
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    return { steps, stoppedAt: error.message };
  }
}

/** What a line runs, as the record names it; undefined if it runs nothing. */
function commandOf(line: string): string | undefined {
  if (line.startsWith('host ')) return line;
  return /^run\s+(.*)$/s.exec(line)?.[1];
}

/** A word or command of the script as a pattern: variables by their values, unknown ones as anything. */
function pattern(template: string, variables: ReadonlyMap<string, string>): RegExp {
  const text = /^"[^"]*"$|^'[^']*'$/.test(template.trim()) ? template.trim().slice(1, -1) : template.trim();
  const parts = text.split(/(\$\((?:[^()]|\([^()]*\))*\)|\$\w+|\$\{\w+\})/);
  const source = parts.map((part, index) => {
    if (index % 2 === 0) return escape(part);
    const value = variables.get(part.replace(/[${}]/g, ''));
    return value === undefined ? '.*' : escape(value);
  });
  return new RegExp(`^${source.join('')}$`, 's');
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function unquote(text: string): string {
  return text.replace(/^(["'])(.*)\1$/, '$2');
}

function splitWords(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);
}

/** Cut at newlines and semicolons outside quotes; `do` stands alone then. */
function splitLines(script: string): string[] {
  const lines: string[] = [];
  let current = '';
  let quote = '';
  for (const char of script) {
    if (quote === '' && (char === '\n' || char === ';')) {
      lines.push(current);
      current = '';
      continue;
    }
    if (quote === '' ? char === '"' || char === "'" : char === quote) quote = quote === '' ? char : '';
    current += char;
  }
  return [...lines, current].flatMap((line) => line.trim().split(/^do(?=\s|$)/).flatMap((part, index) => (index > 0 ? ['do', part.trim()] : [part.trim()]))).filter((line) => line !== '');
}

function parse(lines: string[]): Statement[] {
  const statements: Statement[] = [];
  for (let line = lines.shift(); line !== undefined && line !== 'done'; line = lines.shift()) {
    const loop = /^for (\w+) in (.*)$/.exec(line);
    if (!loop) statements.push({ line });
    else {
      if (lines[0] === 'do') lines.shift();
      statements.push({ variable: loop[1]!, words: loop[2]!, body: parse(lines) });
    }
  }
  return statements;
}
