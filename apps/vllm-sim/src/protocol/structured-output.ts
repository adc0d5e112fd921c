import type { Persona } from '../personas.ts';
import { ANY_OBJECT, type JsonShape } from '../text/json-shape.ts';
import { compileSchema } from '../text/json-schema.ts';
import type { Script } from '../text/script.ts';
import { type FieldReader, isObject, isStrings, type JsonObject } from './fields.ts';
import { badValue, bodyError, notSimulated } from './request-error.ts';

/** The ways to ask for structured output, of which a request may use one. */
const CONSTRAINTS = [
  'json',
  'json_object',
  'choice',
  'regex',
  'grammar',
  'structural_tag',
] as const;

/**
 * What `response_format` and the fields of vLLM's own ask the text to be; undefined for free text.
 * A regular expression or a grammar is refused: nothing here writes what satisfies one.
 */
export function readStructuredOutput(reader: FieldReader, persona: Persona): Script | undefined {
  const format = formatScript(reader.object('response_format'));
  const own =
    persona.structuredOutputFields === 'guided'
      ? ownScript(guidedFields(reader), 'guided_')
      : ownScript(reader.object('structured_outputs') ?? {}, 'structured_outputs.');
  return own ?? format;
}

/** The shape of a schema, or vLLM's field named in the refusal of what is not simulated. */
export function shapeOf(schema: unknown, field: string): JsonShape {
  const compiled = compileSchema(schema);
  if (compiled.kind === 'shape') return compiled.shape;
  throw notSimulated(field, `is not simulated for ${compiled.reason}.`);
}

function formatScript(format: JsonObject | undefined): Script | undefined {
  switch (format?.['type']) {
    case undefined:
    case 'text':
      return undefined;
    case 'json_object':
      return { kind: 'json', shape: ANY_OBJECT };
    case 'json_schema': {
      const named = format['json_schema'];
      if (!isObject(named)) {
        throw bodyError({
          message:
            "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
          param: 'response_format',
        });
      }
      const schema = named['schema'] ?? {};
      return { kind: 'json', shape: shapeOf(schema, 'response_format.json_schema') };
    }
    default:
      throw notSimulated('response_format');
  }
}

function ownScript(fields: JsonObject, prefix: string): Script | undefined {
  const used = CONSTRAINTS.filter((name) => isUsed(fields[name]));
  if (used.length > 1) {
    throw bodyError({
      message:
        prefix === 'guided_'
          ? "You can only use one kind of guided decoding ('guided_json', 'guided_regex' or 'guided_choice')."
          : "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice').",
    });
  }
  switch (used[0]) {
    case undefined:
      return undefined;
    case 'json':
      return { kind: 'json', shape: shapeOf(parsed(fields['json']), `${prefix}json`) };
    case 'json_object':
      return { kind: 'json', shape: ANY_OBJECT };
    case 'choice':
      return { kind: 'choice', texts: choicesOf(fields['choice'], `${prefix}choice`) };
    default:
      throw notSimulated(`${prefix}${used[0]}`);
  }
}

/** The fields of vLLM before 0.12, under the names they have since. */
function guidedFields(reader: FieldReader): JsonObject {
  return Object.fromEntries(CONSTRAINTS.map((name) => [name, reader.raw(`guided_${name}`)]));
}

/** A schema may come as JSON text. */
function parsed(schema: unknown): unknown {
  if (typeof schema !== 'string') return schema;
  try {
    return JSON.parse(schema);
  } catch {
    throw badValue({ message: 'Invalid JSON schema.' });
  }
}

function choicesOf(choice: unknown, field: string): readonly string[] {
  if (isStrings(choice) && choice.length > 0 && !choice.includes('')) return choice;
  throw badValue({ message: `\`${field}\` must be a list of strings that are not empty.` });
}

function isUsed(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}
