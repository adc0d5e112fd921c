/**
 * The client's types are written by hand, so that its users need no schemas. Here they are compared
 * with those that the API and the router work with; `npm run types` fails where they differ.
 */
import type {
  AcceptedJob,
  ApiErrorCode,
  Batch,
  BatchRequest,
  Cancellation,
  ChatRequest,
  Job,
  JobEvent,
  JobRequest,
  JobToken,
  Route,
  RouteRequest,
  StoredFile,
  Tiers,
} from '@qarr/client';
import type {
  ErrorCode as RouterErrorCode,
  JobEvent as LoggedJobEvent,
  batchRequestSchema,
  chatRequestSchema,
  jobRequestSchema,
  routeRequestSchema,
} from '@qarr/router-core';
import { expectTypeOf, it } from 'vitest';
import type { batchObjectSchema } from '../../apps/api/src/batches/batch-object.ts';
import type { fileObjectSchema } from '../../apps/api/src/files/file-object.ts';
import type { jobObjectSchema } from '../../apps/api/src/job-object.ts';
import type { acceptedSchema, receiptSchema, tokenSchema } from '../../apps/api/src/routes/jobs.ts';
import type { routeSchema, tiersSchema } from '../../apps/api/src/routes/tiers.ts';

type Input<Schema extends { _input: unknown }> = Schema['_input'];
type Output<Schema extends { _output: unknown }> = Schema['_output'];

/** Codes are open in the client, because an API may be newer. */
type Closed<T> = T extends { code: unknown; retryable: boolean }
  ? Omit<T, 'code'> & { code: RouterErrorCode }
  : T extends readonly (infer Item)[]
    ? Closed<Item>[]
    : T extends object
      ? { [Key in keyof T]: Closed<T[Key]> }
      : T;

/** Without the fields that are refused, or taken and ignored, of which the schemas know only names. */
type Named<T> = { [Key in keyof T as string extends Key ? never : Key]: T[Key] };
type Understood<T> = Omit<Named<T>, 'stream' | 'stream_options'>;

it('has the events of the log', () => {
  expectTypeOf<LoggedJobEvent>().toExtend<JobEvent>();
  expectTypeOf<Closed<JobEvent>>().toExtend<LoggedJobEvent>();
});

it('has the answers of the API', () => {
  expectTypeOf<Output<typeof jobObjectSchema>>().toExtend<Job>();
  expectTypeOf<Closed<Job>>().toExtend<Output<typeof jobObjectSchema>>();
  expectTypeOf<Output<typeof acceptedSchema>>().toEqualTypeOf<AcceptedJob>();
  expectTypeOf<Output<typeof receiptSchema>>().toEqualTypeOf<Cancellation>();
  expectTypeOf<Output<typeof tokenSchema>>().toEqualTypeOf<JobToken>();
  expectTypeOf<Output<typeof routeSchema>>().toEqualTypeOf<Route>();
  expectTypeOf<Output<typeof tiersSchema>>().toExtend<Tiers>();
  expectTypeOf<Tiers>().toExtend<Output<typeof tiersSchema>>();
  expectTypeOf<Output<typeof batchObjectSchema>>().toEqualTypeOf<Batch>();
  expectTypeOf<Output<typeof fileObjectSchema>>().toEqualTypeOf<StoredFile>();
});

it('can ask for what the API understands, and for nothing else', () => {
  expectTypeOf<JobRequest>().toExtend<Named<Input<typeof jobRequestSchema>>>();
  expectTypeOf<{ max_tokens: number }>().not.toExtend<JobRequest>();
  expectTypeOf<{ prompt: string; system_prompt: string }>().toExtend<JobRequest>();
  expectTypeOf<{ messages: [] }>().toExtend<JobRequest>();
  expectTypeOf<{ messages: []; prompt: string }>().not.toExtend<JobRequest>();
  expectTypeOf<keyof JobRequest>().toEqualTypeOf<
    keyof Understood<Input<typeof jobRequestSchema>>
  >();
  expectTypeOf<ChatRequest>().toExtend<Named<Input<typeof chatRequestSchema>>>();
  expectTypeOf<keyof ChatRequest>().toEqualTypeOf<
    Exclude<keyof Understood<Input<typeof chatRequestSchema>>, 'service_tier'>
  >();
  expectTypeOf<BatchRequest>().toExtend<Input<typeof batchRequestSchema>>();
  expectTypeOf<keyof BatchRequest>().toEqualTypeOf<keyof Input<typeof batchRequestSchema>>();
  expectTypeOf<RouteRequest>().toExtend<Named<Input<typeof routeRequestSchema>>>();
});

it('knows every error code, and no other', () => {
  expectTypeOf<RouterErrorCode>().toEqualTypeOf<ApiErrorCode>();
});
