import { z } from 'zod';

/**
 * A schema's variables as the rows of the table in the documentation. Every variable must have a
 * description; throws when one has none.
 */
export function environmentTable(schema: z.ZodObject): string[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...limits } = property as z.core.JSONSchema.JSONSchema;
    if (description === undefined) throw new Error(`${name} has no description`);
    return `| \`${name}\` | ${shownDefault(limits.default)} | ${allowed(limits)} | ${description} |`;
  });
}

/** JSON has no other values here. */
function shownDefault(value: unknown): string {
  return value === undefined ? '' : `\`${JSON.stringify(value).replaceAll('"', '')}\``;
}

function allowed({ enum: values, ...limits }: z.core.JSONSchema.JSONSchema): string {
  if (values !== undefined) return values.map((value) => shownDefault(value)).join(' ');
  const { minimum, maximum, type, format } = limits;
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  if (type === 'boolean') return '`true` `false`';
  return format === 'uri' ? 'a URL' : 'text';
}
