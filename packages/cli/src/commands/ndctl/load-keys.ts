/**
 * `ndctl load-keys`: give the kernel's keyring the keys that unlock DIMMs. Mirrors ndctl's ndctl/load-keys.c and util/keys.c: ndctl_load_key_blob.
 * This kernel keeps no keyring, so what comes of a key that can be read is what add_key(2) answers without CONFIG_KEYS.
 */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { dirAt } from '../../facts/sysfs.js';
import { openFile, readWhole } from '../../console/open-file.js';
import { type Failure, type NdctlContext, error, exitStatus } from './context.js';
import { type OptionSpec, exitWithUsage, parseOptions } from './parse-options.js';

const NDCTL_KEYS_DIR = '/etc/ndctl/keys';
const USAGE = 'ndctl load-keys [<options>]';
const OPTIONS: readonly OptionSpec[] = [
  { short: 'p', long: 'key-path', value: 'key-path', help: 'override the default key path' },
  { short: 't', long: 'tpm-handle', value: 'tpm-handle', help: 'TPM handle for trusted key' },
];

export function loadKeys(ctx: NdctlContext, args: readonly string[]): number {
  const { value, operands } = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  for (const operand of operands) error(ctx, `unknown parameter "${operand}"\n`);
  if (operands.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  const path = value('key-path') ?? NDCTL_KEYS_DIR;
  const refused = directoryFailure(ctx, path);
  if (refused) {
    ctx.line(`Change current work dir to ${path} failed: ${strerror(refused)}`);
    return exitStatus(refused);
  }
  const hasHandle = value('tpm-handle') !== undefined || dirAt(ctx.root, ctx.resolve(path))!.lookup('tpm.handle') !== undefined;
  if (!hasHandle) ctx.line('No TPM handle discovered.');
  const blob = `${path}/nvdimm-master.blob`;
  const unread = readFailure(ctx, blob);
  if (unread) {
    ctx.line(`failed to open file ${blob}: ${strerror(unread)}`);
    return exitStatus('ENOMEM');
  }
  ctx.line(`add_key failed: ${strerror('ENOSYS')}`);
  ctx.explain({ rule: 'this kernel keeps no keyring' });
  return exitStatus('ENOSYS');
}

function directoryFailure({ root, resolve }: NdctlContext, path: string): Failure {
  try {
    return resolvePath(root, resolve(path)).node.kind === 'dir' ? undefined : 'ENOTDIR';
  } catch (refused) {
    if (refused instanceof KernelError) return refused.code;
    throw refused;
  }
}

function readFailure({ root, resolve }: NdctlContext, path: string): Failure {
  try {
    readWhole(openFile(root, resolve(path)));
    return undefined;
  } catch (refused) {
    if (refused instanceof KernelError) return refused.code;
    throw refused;
  }
}
