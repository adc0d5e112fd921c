type Schema = Readonly<Record<string, unknown>>;

/** Whether a value satisfies a schema: a second opinion that shares nothing with the writer. */
export function satisfies(value: unknown, schema: unknown, root: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return schema !== false;
  const rules: Schema = { ...schema };
  if (typeof rules['$ref'] === 'string') return satisfies(value, follow(root, rules['$ref']), root);
  return Object.entries(rules).every(([keyword, rule]) =>
    holds(value, { keyword, rule, rules, root }),
  );
}

function holds(
  value: unknown,
  check: { keyword: string; rule: unknown; rules: Schema; root: unknown },
): boolean {
  const { keyword, rule, rules, root } = check;
  const limit = typeof rule === 'number' ? rule : NaN;
  switch (keyword) {
    case 'type':
      return [rule].flat().some((type) => hasType(value, type));
    case 'const':
      return same(value, rule);
    case 'enum':
      return Array.isArray(rule) && rule.some((option) => same(value, option));
    case 'anyOf':
      return Array.isArray(rule) && rule.some((branch) => satisfies(value, branch, root));
    case 'minimum':
      return typeof value !== 'number' || value >= limit;
    case 'maximum':
      return typeof value !== 'number' || value <= limit;
    case 'exclusiveMinimum':
      return typeof value !== 'number' || value > limit;
    case 'exclusiveMaximum':
      return typeof value !== 'number' || value < limit;
    case 'minLength':
      return typeof value !== 'string' || Array.from(value).length >= limit;
    case 'maxLength':
      return typeof value !== 'string' || Array.from(value).length <= limit;
    case 'format':
      return typeof value !== 'string' || hasFormat(value, String(rule));
    case 'minItems':
      return !Array.isArray(value) || value.length >= limit;
    case 'maxItems':
      return !Array.isArray(value) || value.length <= limit;
    case 'items':
      return !Array.isArray(value) || value.every((item) => satisfies(item, rule, root));
    case 'required':
      return !isRecord(value) || [rule].flat().every((name) => Object.hasOwn(value, String(name)));
    case 'properties':
      return (
        !isRecord(value) ||
        !isRecord(rule) ||
        Object.entries(value).every(
          ([name, member]) => !Object.hasOwn(rule, name) || satisfies(member, rule[name], root),
        )
      );
    case '$defs':
      return true;
    default:
      throw new Error(`the test knows no keyword ${keyword} of ${JSON.stringify(rules)}`);
  }
}

function hasType(value: unknown, type: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isRecord(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

function hasFormat(value: string, format: string): boolean {
  const patterns: Record<string, RegExp> = {
    date: /^\d{4}-\d\d-\d\d$/,
    'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
    email: /^[^@\s]+@[^@\s]+\.[a-z]+$/,
    uuid: /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/,
  };
  return patterns[format]?.test(value) ?? false;
}

function follow(root: unknown, pointer: string): unknown {
  const parts = pointer.split('/').slice(1);
  return parts.reduce<unknown>((value, part) => (isRecord(value) ? value[part] : undefined), root);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
