/**
 * Passphrases, erasing and freezing of DIMMs: `ndctl setup-passphrase` and its siblings. Mirrors ndctl's ndctl/dimm.c.
 * The kernel shows `security` for DIMMs whose firmware has the methods; no DIMM here has them, and these commands say so of each.
 */
import { type NdctlContext, error } from './context.js';
import { DIMM_OPTIONS, dimmsFor, forEachDimm, parseDimmOptions, reportDimms } from './dimm-walk.js';
import { INIT_OPTIONS } from './init-labels.js';
import type { OptionSpec, ParsedOptions } from './parse-options.js';

type Subcommand = (ctx: NdctlContext, args: readonly string[]) => number;

const MASTER: OptionSpec = { short: 'm', long: 'master-passphrase', help: 'use master passphrase' };
const KEY: OptionSpec = { short: 'k', long: 'key-handle', value: 'key-handle', help: 'master encryption key handle' };
const SANITIZE: readonly OptionSpec[] = [
  { short: 'c', long: 'crypto-erase', help: 'crypto erase a dimm' },
  { short: 'o', long: 'overwrite', help: 'overwrite a dimm' },
  { short: 'z', long: 'zero-key', help: 'pass in a zero key' },
];

/** In ndctl 76 this list has no end, and runs on into that of init-labels. */
const KEY_OPTIONS: readonly OptionSpec[] = [KEY, MASTER, ...INIT_OPTIONS];

export const setupPassphrase = securityCommand('setup-passphrase', KEY_OPTIONS, (nmems) => `passphrase enabled for ${nmems}.`);
export const updatePassphrase = securityCommand('update-passphrase', KEY_OPTIONS, (nmems) => `passphrase updated for ${nmems}.`);
export const removePassphrase = securityCommand('remove-passphrase', [MASTER], (nmems) => `passphrase removed for ${nmems}.`);
export const freezeSecurity = securityCommand('freeze-security', [], (nmems) => `security froze ${nmems}.`);
export const sanitizeDimm = securityCommand(
  'sanitize-dimm',
  [...SANITIZE, MASTER],
  (nmems, { has }) => `${has('overwrite') ? 'overwrite issued for' : 'sanitized'} ${nmems}.`,
);
export const waitOverwrite = securityCommand('wait-overwrite', [], undefined);

/** @param summary the last line; left out by commands that say nothing */
function securityCommand(name: string, specs: readonly OptionSpec[], summary: ((nmems: string, options: ParsedOptions) => string) | undefined): Subcommand {
  return (ctx, args) => {
    const options = parseDimmOptions(ctx, args, { usage: `ndctl ${name} <nmem0> [<nmem1>..<nmemN>] [<options>]`, options: [...DIMM_OPTIONS, ...specs] });
    const result = forEachDimm(dimmsFor(ctx, options), (dimm) => {
      error(ctx, `${dimm.name}: security operation not supported\n`);
      ctx.explain({ rule: `the firmware of ${dimm.name} has no security methods: sysfs shows no ${dimm.name}/security` });
      return 'EOPNOTSUPP';
    });
    if (summary) return reportDimms(ctx, (nmems) => summary(nmems, options), result);
    return result.failure ? 1 : 0;
  };
}
