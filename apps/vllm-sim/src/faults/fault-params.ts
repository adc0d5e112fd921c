/** What a parameter may be. A default of undefined means that it may be absent. */
export type ParamSpec =
  | {
      readonly kind: 'integer' | 'number';
      readonly min: number;
      readonly max: number;
      readonly default: number | undefined;
    }
  | { readonly kind: 'choice'; readonly values: readonly string[]; readonly default: string }
  | { readonly kind: 'text'; readonly charsMax: number; readonly default: string | undefined };

export type ParamSpecs = Readonly<Record<string, ParamSpec>>;

/** The values of parameters, typed by what they may be. */
export type ValuesOf<Specs> = { readonly [P in keyof Specs]: ValueOf<Specs[P]> };

type ValueOf<Spec> = Spec extends { readonly values: readonly (infer Value)[] }
  ? Value
  : Spec extends { readonly kind: 'text'; readonly default: infer Default }
    ? Widened<Default, string>
    : Spec extends { readonly default: infer Default }
      ? Widened<Default, number>
      : never;
type Widened<Default, Value> = undefined extends Default ? Value | undefined : Value;

/** A rule or a parameter that cannot be accepted; `message` begins with the field. */
export class FieldProblem extends Error {
  readonly field: string;

  constructor(field: string, problem: string) {
    super(`${field} ${problem}`);
    this.name = 'FieldProblem';
    this.field = field;
  }
}

/**
 * Reads parameters as they come from JSON (numbers) or from text (digits), and adds the defaults.
 *
 * @param options.path what stands before the parameter's name in a message
 * @throws FieldProblem
 */
export function readParams(
  specs: ParamSpecs,
  given: Readonly<Record<string, unknown>>,
  options: { path: string },
): Record<string, number | string | undefined> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(specs, name)) {
      throw new FieldProblem(options.path + name, `is no parameter; ${knownNames(specs)}`);
    }
  }
  const entries = Object.entries(specs).map(([name, spec]) => {
    const value = given[name];
    const field = options.path + name;
    return [name, value === undefined ? spec.default : readParam(spec, value, field)] as const;
  });
  return Object.fromEntries(entries);
}

/** What a parameter may be, in words. */
export function describeParam(spec: ParamSpec): string {
  switch (spec.kind) {
    case 'integer':
      return `a whole number from ${spec.min} to ${spec.max}`;
    case 'number':
      return `a number from ${spec.min} to ${spec.max}`;
    case 'choice':
      return spec.values.join(', ');
    case 'text':
      return `a text of up to ${spec.charsMax} characters`;
    default:
      return spec satisfies never;
  }
}

/** @throws FieldProblem */
export function readParam(spec: ParamSpec, value: unknown, field: string): number | string {
  const accepted = acceptedValue(spec, value);
  if (accepted !== undefined) return accepted;
  throw new FieldProblem(field, `must be ${describeParam(spec)}, not ${quote(value)}`);
}

function acceptedValue(spec: ParamSpec, value: unknown): number | string | undefined {
  switch (spec.kind) {
    case 'integer': {
      const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
      return Number.isInteger(number) ? inRange(spec, number) : undefined;
    }
    case 'number': {
      const isDecimal = typeof value === 'string' && /^\d+(?:\.\d+)?$/.test(value);
      return inRange(spec, isDecimal ? Number(value) : value);
    }
    case 'choice':
      return typeof value === 'string' && spec.values.includes(value) ? value : undefined;
    case 'text': {
      // It ends up in headers and lines: no control characters.
      const isPrintable = typeof value === 'string' && /^[\u0020-\u007E]+$/.test(value);
      return isPrintable && value.length <= spec.charsMax ? value : undefined;
    }
    default:
      return spec satisfies never;
  }
}

function inRange(spec: { min: number; max: number }, value: unknown): number | undefined {
  return typeof value === 'number' && value >= spec.min && value <= spec.max ? value : undefined;
}

function knownNames(specs: ParamSpecs): string {
  const names = Object.keys(specs);
  return names.length === 0 ? 'there is none' : `there is: ${names.join(', ')}`;
}

/** A value as it may stand in a message. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
