/**
 * The command line of a tool: `--help`, and one line and exit status 2 for what cannot be.
 * Plain JavaScript, because bench and soak run without being built.
 */
import { Command, InvalidArgumentError } from 'commander';

export function toolCommand(name, what) {
  return new Command(name)
    .description(what)
    .configureOutput({ outputError: (text, write) => write(`${name}: ${text.trim().replace(/^error: /, '').replaceAll('\n', ' ')}\n`) })
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
}

export function wholeNumber(least = 1, most = Number.MAX_SAFE_INTEGER) {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`Expected a whole number from ${least} ${most === Number.MAX_SAFE_INTEGER ? 'on' : `to ${most}`}.`);
    }
    return value;
  };
}

export function positiveNumber(text) {
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || !(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('Expected a number above 0.');
  return value;
}
