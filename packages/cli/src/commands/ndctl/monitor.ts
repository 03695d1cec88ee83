/**
 * `ndctl monitor`: tell of what DIMMs report of their health. Mirrors ndctl's ndctl/monitor.c.
 * It watches DIMMs whose firmware knows SMART; no DIMM here does, and each is said to have none.
 */
import { resolveOrCreate } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { openFile, readWhole, toBytes } from '../../console/open-file.js';
import { type NdctlContext, error, exitStatus } from './context.js';
import { busPasses, dimmInRegion, dimmPasses, everything, regionHasNamespace, regionPasses } from './filter.js';
import { type OptionSpec, type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { buses, dimms, regions } from './topology.js';

const USAGE = 'ndctl monitor [<options>]';
const OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'bus', value: 'bus-id', help: 'filter by bus' },
  { short: 'r', long: 'region', value: 'region-id', help: 'filter by region' },
  { short: 'd', long: 'dimm', value: 'dimm-id', help: 'filter by dimm' },
  { short: 'n', long: 'namespace', value: 'namespace-id', help: 'filter by namespace id' },
  { short: 'D', long: 'dimm-event', value: 'name of event type', help: 'filter by DIMM event type' },
  { short: 'l', long: 'log', value: '<file> | syslog | standard', help: "where to output the monitor's notification" },
  { short: 'c', long: 'config-file', value: 'config-file', help: 'override default configs' },
  { short: '', long: 'daemon', help: 'run ndctl monitor as a daemon' },
  { short: 'u', long: 'human', help: 'use human friendly output formats' },
  { short: 'v', long: 'verbose', help: 'emit extra debug messages to log' },
  { short: 'p', long: 'poll', value: 'n', numeric: true, help: 'poll and report events/status every <n> seconds' },
];

const EVENTS: readonly string[] = [
  'all',
  'dimm-spares-remaining',
  'dimm-media-temperature',
  'dimm-controller-temperature',
  'dimm-health-state',
  'dimm-unclean-shutdown',
];

/** Where ndctl keeps its settings; this machine has none. */
const CONFIG_FOLDER = '/etc/ndctl.conf.d';

/** What is watched: of the call, or else of the file of settings. */
interface Settings {
  bus?: string;
  region?: string;
  dimm?: string;
  namespace?: string;
  'dimm-event'?: string;
  log?: string;
}

/** Messages: what is wrong, and what is going on. */
interface Log {
  err(text: string): void;
  info(text: string): void;
}

export function monitor(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  for (const operand of options.operands) error(ctx, `unknown parameter "${operand}"\n`);
  if (options.operands.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  const settings = readSettings(ctx, options);
  if (typeof settings === 'number') return settings;
  const log = openLog(ctx, settings.log, options.has('daemon'));
  if (!log) return exitStatus('ENOENT');
  // The call itself ends when its daemon has begun, whatever becomes of that.
  if (options.has('daemon')) log.info('ndctl monitor daemon started');
  const status = watch(ctx, settings, log, options.value('config-file') !== undefined);
  return options.has('daemon') ? 0 : status;
}

function watch(ctx: NdctlContext, settings: Settings, log: Log, hasConfig: boolean): number {
  const unknown = (settings['dimm-event'] ?? '').split(' ').find((event) => event !== '' && !EVENTS.includes(event));
  if (unknown !== undefined) {
    log.err(`no dimm-event named ${unknown}`);
    // ndctl forgets to set a status: what is left is how long the name of its file of settings was.
    return hasConfig ? 0 : `${CONFIG_FOLDER}/monitor.conf`.length;
  }
  for (const bus of buses(ctx).filter((each) => busPasses(ctx, each, settings.bus))) {
    for (const dimm of dimms(ctx, bus).filter((each) => dimmPasses(each, settings.dimm))) {
      const inRegion = everything(settings.region) || dimmInRegion(ctx, dimm, (each) => regionPasses(each, settings.region));
      const hasNamespace = everything(settings.namespace) || dimmInRegion(ctx, dimm, (each) => regionHasNamespace(ctx, each, settings.namespace));
      if (inRegion && hasNamespace) log.err(`${dimm.name}: no smart support`);
    }
  }
  log.info('no dimms to monitor, exiting');
  ctx.explain({
    rule: `no DIMM reports its health: ${buses(ctx).flatMap((bus) => regions(ctx, bus)).length} regions, and the firmware of none of their DIMMs knows SMART`,
  });
  return exitStatus('ENXIO');
}

/** `NAME = VALUE` lines of the file of settings; a status if it cannot be read. What both say is put together for all but the log. */
function readSettings(ctx: NdctlContext, { value }: ParsedOptions): Settings | number {
  const settings: Settings = {};
  const names = ['bus', 'region', 'dimm', 'namespace', 'dimm-event', 'log'] as const;
  for (const name of names) {
    const given = value(name);
    if (given !== undefined) settings[name] = given;
  }
  const path = value('config-file');
  if (path === undefined) return settings;
  try {
    for (const line of new TextDecoder().decode(readWhole(openFile(ctx.root, ctx.resolve(path)))).split('\n')) {
      const [, key, text] = /^\s*([^#\s=][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      const name = names.find((each) => each === key);
      if (name === undefined || text === undefined || text === '') continue;
      if (name !== 'log') settings[name] = [...(settings[name] === undefined ? [] : [settings[name]]), text].join(' ');
      else settings.log ??= text;
    }
    return settings;
  } catch (refused) {
    if (!(refused instanceof KernelError)) throw refused;
    ctx.line(`${path} cannot be opened`);
    return exitStatus(refused.code);
  }
}

/** Undefined if the file cannot be opened, which was told. A daemon has no terminal, and nobody here keeps a syslog. */
function openLog(ctx: NdctlContext, target: string | undefined, isDaemon: boolean): Log | undefined {
  const none: Log = { err: () => {}, info: () => {} };
  const terminal: Log = { err: (text) => ctx.line(text), info: (text) => ctx.out(`${text}\n`) };
  if (target === undefined || target === 'standard') return isDaemon ? none : terminal;
  if (target === 'syslog') return none;
  const path = ctx.resolve(target);
  const append = (text: string): void => {
    const file = openFile(ctx.root, path, { write: true });
    try {
      file.pwrite(toBytes(`[${ctx.now().toFixed(9).padStart(20)}] [${ctx.pid()}] ${text}\n`), file.sizeBytes ?? 0);
    } finally {
      file.close();
    }
  };
  try {
    resolveOrCreate(ctx.root, path);
  } catch (refused) {
    if (!(refused instanceof KernelError)) throw refused;
    error(ctx, `open ${target.startsWith('/') ? target : `./${target}`} failed\n`);
    ctx.explain({ rule: `${target}: ${strerror(refused.code)}` });
    return undefined;
  }
  // A daemon leaves its directory: only an absolute path stays what it was.
  return isDaemon && !target.startsWith('/') ? none : { err: append, info: append };
}
