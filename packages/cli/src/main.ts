/**
 * Where the `holdfast` command starts.
 */
import { runProgram } from './program.js';

const terminal = {
  interactive: process.stdin.isTTY && process.stdout.isTTY,
  out: (data: string | Uint8Array): void => void process.stdout.write(data),
  err: (text: string): void => void process.stderr.write(text),
};

// A reader that went away, as in `holdfast boot | head`, is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.exitCode = await runProgram(process.argv.slice(2), terminal);
