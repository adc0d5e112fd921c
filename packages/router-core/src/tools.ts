/**
 * The tools that a model may call, as clients send them.
 *
 * A tool's parameters are a JSON schema, which some engines compile to a grammar: see
 * `json-schema.ts` for what it may be.
 */
import { z } from 'zod';
import { SCHEMA_DESCRIPTION, SCHEMA_ERROR, checkJsonSchema } from './json-schema.ts';
import { PLACEHOLDER_ERROR, holdsPlaceholder } from './media-placeholders.ts';
import { flag, text } from './request-fields.ts';

/** Each is read into the prompt; models choose badly among more. */
export const TOOLS_MAX = 64;
/**
 * Of the parameters of all tools, as JSON. Where a call is required, engines compile all of them
 * into one grammar; and no window of 16,000 tokens has room for more.
 */
const PARAMETERS_CHARS_MAX = 65_536;
/** OpenAI allows 1,024. */
const DESCRIPTION_CHARS_MAX = 4_096;
/** OpenAI's own limit. */
const FUNCTION_NAME = /^[a-zA-Z0-9_-]{1,64}$/;

export const functionNameSchema = z
  .string('must be a string')
  .regex(FUNCTION_NAME, 'must be 1 to 64 letters, digits, _ or -');

export const descriptionSchema = text(DESCRIPTION_CHARS_MAX);

const functionFields = {
  name: functionNameSchema,
  description: descriptionSchema.optional(),
  /** Checked one after another, together with all: see `checkParameters`. */
  parameters: z
    .record(z.string(), z.unknown(), SCHEMA_ERROR)
    .describe(SCHEMA_DESCRIPTION)
    .optional(),
  strict: flag().optional(),
};

const toolSchema = z.object(
  {
    type: z.literal('function', 'must be "function"'),
    function: z.object(functionFields, 'must be an object with a name'),
  },
  'must be an object with type and function',
);

/** As a response's tools are written. */
export const flatToolSchema = z.object(
  {
    type: z.string().refine((type) => type === 'function', {
      error: 'must be "function": no other tool is offered',
      params: { code: 'unsupported_parameter' },
    }),
    ...functionFields,
  },
  'must be an object with type and name',
);

const toolChoiceSchema = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.object({
      type: z.literal('function'),
      function: z.object({ name: functionNameSchema }),
    }),
  ],
  'must be "none", "auto", "required" or { "type": "function", "function": { "name": "…" } }',
);

export const toolFields = {
  tools: z
    .array(toolSchema, 'must be a list of tools')
    .max(TOOLS_MAX, `must hold at most ${TOOLS_MAX} tools`)
    .optional(),
  tool_choice: toolChoiceSchema.optional(),
  parallel_tool_calls: flag().optional(),
};

export interface ToolRequest {
  tools?: z.infer<typeof toolSchema>[] | undefined;
  tool_choice?: z.infer<typeof toolChoiceSchema> | undefined;
}

/** What the fields demand of each other. */
export function checkTools(request: ToolRequest, context: Pick<z.RefinementCtx, 'addIssue'>): void {
  const { tools = [], tool_choice: choice } = request;
  const refuse = (field: keyof ToolRequest, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message });

  const names = new Set(tools.map((tool) => tool.function.name));
  if (names.size < tools.length) refuse('tools', 'must have names that differ');
  if (!checkParameters(tools, context)) return;
  if (holdsPlaceholder(JSON.stringify(tools))) refuse('tools', PLACEHOLDER_ERROR);

  if (choice === 'required' && tools.length === 0) refuse('tool_choice', 'needs tools');
  if (typeof choice === 'object' && !names.has(choice.function.name)) {
    refuse('tool_choice', 'must name one of the tools');
  }
}

/** Stops at the first problem, so that the work is bounded by what all tools may have together. */
function checkParameters(
  tools: NonNullable<ToolRequest['tools']>,
  context: Pick<z.RefinementCtx, 'addIssue'>,
): boolean {
  let chars = 0;
  for (const [index, { function: called }] of tools.entries()) {
    const check = checkJsonSchema(called.parameters ?? {});
    if (check.kind === 'wrong') {
      const path = ['tools', index, 'function', 'parameters', ...check.path];
      context.addIssue({ code: 'custom', path, message: check.message });
      return false;
    }
    chars += check.chars;
    if (chars > PARAMETERS_CHARS_MAX) {
      const message = `must have parameters of at most ${PARAMETERS_CHARS_MAX} characters together`;
      context.addIssue({ code: 'custom', path: ['tools'], message });
      return false;
    }
  }
  return true;
}
