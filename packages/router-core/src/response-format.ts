/** The form that an answer shall have: text, any JSON object, or what a JSON schema says. */
import { z } from 'zod';
import { PLACEHOLDER_ERROR, jsonHoldsPlaceholder } from './media-placeholders.ts';
import { flag } from './request-fields.ts';
import { descriptionSchema, functionNameSchema, jsonSchemaSchema } from './tools.ts';

const answerSchemaSchema = z.object(
  {
    name: functionNameSchema,
    description: descriptionSchema.optional(),
    schema: jsonSchemaSchema,
    strict: flag().optional(),
  },
  'must be an object with name and schema',
);

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
  .refine((format) => !jsonHoldsPlaceholder(JSON.stringify(format)), PLACEHOLDER_ERROR);
