import { GENERATE_PATHS } from '../http/generate-paths.ts';
import { FAULTS, type Fault, type FaultName, isFaultName } from './fault-table.ts';
import { FieldProblem, type ParamSpec, readParam, readParams } from './fault-params.ts';

/** Which requests get a fault. What is given must all hold. */
type When = {
  /** Share of the requests, drawn from the seed. */
  readonly rate: number | undefined;
  /** Which of the requests that the other conditions let through, counted from 1. */
  readonly nth: readonly number[] | undefined;
  /** Each `every`th of them. */
  readonly every: number | undefined;
  readonly header: { readonly name: string; readonly value: string | undefined } | undefined;
  /** Undefined: the routes that generate. */
  readonly path: string | undefined;
  readonly model: string | undefined;
};

export type Rule = {
  readonly fault: Fault;
  readonly when: When;
  /** How often at most; undefined is without limit. */
  readonly times: number | undefined;
};

const COUNT: ParamSpec = { kind: 'integer', min: 1, max: 1_000_000_000, default: undefined };
const RATE: ParamSpec = { kind: 'number', min: 0, max: 1, default: undefined };
const TEXT: ParamSpec = { kind: 'text', charsMax: 200, default: undefined };
/** More would be a rate. */
const NTH_MAX = 1_000;

const RULE_FIELDS = ['fault', 'params', 'when', 'times'];
const WHEN_FIELDS = ['rate', 'nth', 'every', 'header', 'path', 'model'];
/** Of these a stream has one place at most. */
const POSITION_FIELDS = ['after', 'within', 'after_bytes', 'within_bytes'];

/**
 * A rule from JSON: `{ fault, params?, when?, times? }`. Numbers may also be texts of digits.
 *
 * @throws FieldProblem which names the field
 */
export function readRule(value: unknown): Rule {
  const fields = readRecord('the rule', value, RULE_FIELDS);
  const fault = readFault(fields['fault'], fields['params'], 'params.');
  const when = readWhen(fields['when']);
  checkRoute(fault, when);
  return { fault, when, times: optionalNumber(COUNT, fields['times'], 'times') };
}

/**
 * A rule from one line: `name;param=value;condition=value`.
 *
 * @throws FieldProblem
 */
export function readRuleText(text: string): Rule {
  const { name, values } = splitText(text);
  const times = values.get('times');
  values.delete('times');
  return readRule({
    fault: name,
    params: Object.fromEntries([...values].filter(([field]) => !WHEN_FIELDS.includes(field))),
    when: Object.fromEntries([...values].filter(([field]) => WHEN_FIELDS.includes(field))),
    times,
  });
}

/**
 * A fault alone from one line: `name;param=value`.
 *
 * @throws FieldProblem
 */
export function readFaultText(text: string): Fault {
  const { name, values } = splitText(text);
  return readFault(name, Object.fromEntries(values), '');
}

function splitText(text: string): { name: string; values: Map<string, string> } {
  const [name = '', ...pairs] = text.split(';').map((part) => part.trim());
  const values = new Map<string, string>();
  for (const pair of pairs) {
    const [field = '', ...rest] = pair.split('=');
    if (rest.length === 0) throw new FieldProblem(quoted(pair), 'must be name=value');
    if (values.has(field)) throw new FieldProblem(field, 'is given twice');
    values.set(field, rest.join('='));
  }
  return { name, values };
}

function readFault(name: unknown, params: unknown, path: string): Fault {
  if (typeof name !== 'string' || !isFaultName(name)) {
    const known = Object.keys(FAULTS).join(', ');
    throw new FieldProblem('fault', `must be one of ${known}, not ${quoted(name)}`);
  }
  const given = params === undefined ? {} : readRecord('params', params);
  const places = POSITION_FIELDS.filter((field) => given[field] !== undefined);
  const fault = faultOf(name, readParams(FAULTS[name].params, given, { path }));
  if (places[1] !== undefined) {
    throw new FieldProblem(path + places[1], `cannot be combined with ${places[0]}`);
  }
  return fault;
}

/** `readParams` gives what the table says; the type system cannot follow it there. */
function faultOf(name: FaultName, params: object): Fault {
  return { name, params } as Fault;
}

function readWhen(value: unknown): When {
  const fields = value === undefined ? {} : readRecord('when', value, WHEN_FIELDS);
  const path = optionalText(fields['path'], 'when.path');
  if (path !== undefined && (!path.startsWith('/') || path.startsWith('/_sim'))) {
    throw new FieldProblem('when.path', 'must begin with / and cannot be below /_sim');
  }
  return {
    rate: optionalNumber(RATE, fields['rate'], 'when.rate'),
    nth: readNth(fields['nth']),
    every: optionalNumber(COUNT, fields['every'], 'when.every'),
    header: readHeader(optionalText(fields['header'], 'when.header')),
    path,
    model: optionalText(fields['model'], 'when.model'),
  };
}

function readNth(value: unknown): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const items: unknown = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(items) || items.length === 0 || items.length > NTH_MAX) {
    throw new FieldProblem('when.nth', `must be a list of 1 to ${NTH_MAX} numbers`);
  }
  return items.map((item: unknown) => Number(readParam(COUNT, item, 'when.nth')));
}

/** `name` asks that the header is there, `name: value` that it is this. */
function readHeader(text: string | undefined): When['header'] {
  if (text === undefined) return undefined;
  const [name = '', ...rest] = text.split(':');
  if (!/^[\w-]+$/.test(name))
    throw new FieldProblem('when.header', 'must be `name` or `name: value`');
  return { name: name.toLowerCase(), value: rest.length === 0 ? undefined : rest.join(':').trim() };
}

/** A fault in a stream on a route without streams would never happen, and nobody would know why. */
function checkRoute(fault: Fault, when: When): void {
  if (FAULTS[fault.name].family !== 'stream' || when.path === undefined) return;
  if (GENERATE_PATHS.includes(when.path)) return;
  throw new FieldProblem('when.path', `has no streams, and ${fault.name} happens in a stream`);
}

function optionalNumber(spec: ParamSpec, value: unknown, field: string): number | undefined {
  return value === undefined ? undefined : Number(readParam(spec, value, field));
}

function optionalText(value: unknown, field: string): string | undefined {
  return value === undefined ? undefined : String(readParam(TEXT, value, field));
}

function readRecord(
  field: string,
  value: unknown,
  known?: readonly string[],
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FieldProblem(field, 'must be an object');
  }
  const unknown = Object.keys(value).find((name) => known !== undefined && !known.includes(name));
  if (unknown !== undefined) {
    throw new FieldProblem(unknown, `is no field of ${field}; there is: ${known?.join(', ')}`);
  }
  return { ...value };
}

function quoted(value: unknown): string {
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 100) : value) ?? 'nothing';
}
