/** pwd(1). */
import type { Command } from '../console/command.js';

export const pwd: Command = { usage: 'pwd', run: ({ resolve, out }) => out(`${resolve('.')}\n`) };
