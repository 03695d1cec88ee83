/** `daxctl list`. Mirrors ndctl's daxctl/list.c. */
import { type Json, jsonList } from '../ndctl/json-text.js';
import { type OptionSpec, exitWithUsage, parseOptions } from '../ndctl/parse-options.js';
import type { DaxctlContext } from './context.js';
import { type JsonOptions, devicesJson, regionJson } from './device-json.js';
import { regionPasses, regions } from './topology.js';

const USAGE = 'daxctl list [<options>]';
const OPTIONS: readonly OptionSpec[] = [
  { short: 'r', long: 'region', value: 'region-id', help: 'filter by region' },
  { short: 'd', long: 'dev', value: 'dev-id', help: 'filter by dax device instance name' },
  { short: 'D', long: 'devices', help: 'include dax device info' },
  { short: 'R', long: 'regions', help: 'include dax region info' },
  { short: 'M', long: 'mappings', help: 'include dax mappings info' },
  { short: 'i', long: 'idle', help: 'include idle devices' },
  { short: 'u', long: 'human', help: 'use human friendly number formats ' },
];

export function list(ctx: DaxctlContext, args: readonly string[]): number {
  const { has, value, operands } = parseOptions(args, OPTIONS, USAGE, ctx, ctx.out);
  for (const operand of operands) ctx.line(`  Error: unknown parameter "${operand}"\n`);
  if (operands.length > 0) exitWithUsage(ctx, USAGE, OPTIONS);
  const region = value('region');
  const dev = value('dev');
  const asked = has('regions') || has('devices');
  const showRegions = asked ? has('regions') : region !== undefined;
  const showDevices = asked ? has('devices') : dev !== undefined || region === undefined;
  const options: JsonOptions = { human: has('human'), mappings: has('mappings'), idle: has('idle') };

  const entries: Json[] = [];
  for (const each of regions(ctx)) {
    if (!regionPasses(each, region)) continue;
    const found = showDevices ? devicesJson(ctx, each, dev, options) : undefined;
    if (showRegions) entries.push(regionJson(ctx, each, found, has('human')));
    else entries.push(...(found ?? []));
  }
  if (entries.length > 0) ctx.out(jsonList(entries, { human: has('human') }));
  return 0;
}
