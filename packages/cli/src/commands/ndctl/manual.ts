/** The manual page of a subcommand, which ndctl and daxctl leave to man(1): this console has none. Mirrors ndctl's util/help.c: exec_man, setup_path. */
import { strerror } from '@holdfast/lib';

/** How a process ends that exits with -1. */
const STATUS = 255;

export function viewManual(line: (text: string) => void): number {
  line(`  Warning: failed to exec 'man': ${strerror('ENOENT')}`);
  line('no man viewer handled the request');
  return STATUS;
}
