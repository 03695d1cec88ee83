/** Whole numbers as `$((…))` computes them: + - * / % and parentheses, over numbers in C's notation and variables. */
import { ShellSyntaxError } from './shell-words.js';

const MAX_DEPTH = 200;

/** @throws ShellSyntaxError */
export function evaluateArithmetic(expression: string, variable: (name: string) => string): number {
  const tokens = expression.match(/0x[\da-f]+|\d+|[A-Za-z_]\w*|\S/gi) ?? [];
  let at = 0;
  let depth = 0;
  const bad = (): ShellSyntaxError => new ShellSyntaxError('arithmetic syntax error');

  function operand(): number {
    if (++depth > MAX_DEPTH) throw bad();
    const token = tokens[at++];
    let value: number;
    if (token === '-' || token === '+') value = token === '-' ? -operand() : operand();
    else if (token === '(') {
      value = sum();
      if (tokens[at++] !== ')') throw bad();
    } else if (token !== undefined && /^\d/.test(token)) value = /^0[0-7]+$/.test(token) ? parseInt(token, 8) : Number(token);
    else if (token !== undefined && /^\w/.test(token)) value = Number(variable(token)) || 0;
    else throw bad();
    depth--;
    return value;
  }
  function product(): number {
    let value = operand();
    while (/^[*/%]$/.test(tokens[at] ?? '')) {
      const op = tokens[at++];
      const right = operand();
      if (op !== '*' && right === 0) throw new ShellSyntaxError('divide by zero');
      value = op === '*' ? value * right : op === '/' ? Math.trunc(value / right) : value % right;
    }
    return value;
  }
  function sum(): number {
    let value = product();
    while (tokens[at] === '+' || tokens[at] === '-') value = tokens[at++] === '+' ? value + product() : value - product();
    return value;
  }

  const value = tokens.length === 0 ? 0 : sum();
  if (at < tokens.length) throw bad();
  return value;
}
