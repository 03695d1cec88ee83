/**
 * Reading what a client of the control socket wrote: nothing is taken on trust, and each refusal says what was expected.
 */
import { ON_CUT } from '../power/power-switch.js';
import { KEEP_RULES } from '../power/keep-rule.js';
import { parseFaultSpec } from '../faults/fault-spec.js';
import { ControlError, type ControlMethod, type ControlParams, type CutParams } from './control-protocol.js';
import { type Fields, boundedString, chooseOf, decimal, fieldsOf, optional, wholeNumber } from './json-fields.js';

const MAX_SEED = 2 ** 32 - 1;
const MAX_NAME = 4096;
const MAX_LISTED = 1000;
const MAX_SAMPLES = 10_000;

export interface ControlRequest<M extends ControlMethod = ControlMethod> {
  readonly id: number | string;
  readonly method: M;
  readonly params: ControlParams<M>;
}

const cutParams = (fields: Fields): CutParams => ({
  ...optional(fields, 'keep', chooseOf(KEEP_RULES)),
  ...optional(fields, 'seed', wholeNumber(0, MAX_SEED)),
  ...optional(fields, 'onCut', chooseOf(ON_CUT)),
});
const states = (fields: Fields): { export?: string; cut?: number } => ({
  ...optional(fields, 'export', boundedString(MAX_NAME)),
  ...optional(fields, 'cut', wholeNumber(1, Number.MAX_SAFE_INTEGER)),
});

/** For each method, what makes its params of the fields. */
const PARSERS: { readonly [M in ControlMethod]: (fields: Fields) => ControlParams<M> } = {
  status: () => ({}),
  powercut: cutParams,
  'powercut.arm': (fields) => ({ after: wholeNumber(0, Number.MAX_SAFE_INTEGER)(fields.take('after'), 'after'), ...cutParams(fields) }),
  restore: () => ({}),
  'states.count': states,
  'states.list': (fields) => ({ ...states(fields), ...optional(fields, 'from', decimal), ...optional(fields, 'limit', wholeNumber(1, MAX_LISTED)) }),
  'states.sample': (fields) => ({
    ...states(fields),
    count: wholeNumber(1, MAX_SAMPLES)(fields.take('count'), 'count'),
    ...optional(fields, 'seed', wholeNumber(0, MAX_SEED)),
  }),
  mark: (fields) => ({ name: boundedString(MAX_NAME)(fields.take('name'), 'name') }),
  'faults.add': parseFaultSpec,
  'faults.list': () => ({}),
  'faults.clear': (fields) => optional(fields, 'fault', wholeNumber(1, Number.MAX_SAFE_INTEGER)),
};

export const CONTROL_METHODS = Object.keys(PARSERS) as ControlMethod[];

/** The id of a request, as far as it has a good one: so that a refusal can name it. */
export function requestId(value: unknown): number | string | null {
  const id = typeof value === 'object' && value !== null ? (value as { id?: unknown }).id : undefined;
  return typeof id === 'string' || (typeof id === 'number' && Number.isFinite(id)) ? id : null;
}

/** @throws ControlError EINVAL, ENOSYS for a method that is not there */
export function parseRequest(value: unknown): ControlRequest {
  const request = fieldsOf(value, 'a request');
  const id = requestId(value);
  request.take('id');
  if (id === null) throw new ControlError('EINVAL', 'id: expected a number or a string');
  const method = request.take('method');
  const params = fieldsOf(request.take('params') ?? {}, 'params');
  request.end();
  if (typeof method !== 'string' || !Object.hasOwn(PARSERS, method)) throw new ControlError('ENOSYS', `method: expected one of ${CONTROL_METHODS.join(', ')}`);
  const parsed = PARSERS[method as ControlMethod](params);
  params.end();
  return { id, method: method as ControlMethod, params: parsed };
}
