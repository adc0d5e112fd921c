/** The form that an answer shall have: text, any JSON object, or what a JSON schema says. */
import { z } from 'zod';
import { PLACEHOLDER_ERROR, holdsPlaceholder } from './media-placeholders.ts';
import { flag } from './request-fields.ts';
import { SCHEMA_DESCRIPTION, SCHEMA_ERROR, checkJsonSchema } from './json-schema.ts';
import { descriptionSchema, functionNameSchema } from './tools.ts';

export const answerSchemaFields = {
  name: functionNameSchema,
  description: descriptionSchema.optional(),
  schema: z
    .record(z.string(), z.unknown(), SCHEMA_ERROR)
    .describe(SCHEMA_DESCRIPTION)
    .superRefine((schema, context) => {
      const check = checkJsonSchema(schema);
      if (check.kind === 'fine') return;
      // Nothing that looks at the whole may touch what is too deep to be walked.
      const { path, message } = check;
      context.addIssue({ code: 'custom', path, message, continue: false });
    }),
  strict: flag().optional(),
};

const answerSchemaSchema = z.object(answerSchemaFields, 'must be an object with name and schema');

export const responseFormatSchema = z
  .discriminatedUnion(
    'type',
    [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({ type: z.literal('json_schema'), json_schema: answerSchemaSchema }),
    ],
    'must have the type "text", "json_object" or "json_schema"',
  )
  // Some chat templates show it to the model.
  .refine((format) => !holdsPlaceholder(JSON.stringify(format)), PLACEHOLDER_ERROR);
