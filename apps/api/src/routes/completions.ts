/** `/v1/completions`: OpenAI's older surface, on top of a job that is bound to its connection. */
import { completionRequestSchema } from '@qarr/router-core';
import type { Api, ApiDeps } from '../app.ts';
import { completionAnswer } from '../completion-answer.ts';
import { createCompletionChunks } from '../completion-chunks.ts';
import { createForeground } from '../foreground.ts';
import { answerOnConnection } from '../foreground-request.ts';
import { chatHeaders } from '../submit-headers.ts';

export function registerCompletionRoutes(app: Api, deps: ApiDeps): void {
  const foreground = createForeground(deps);

  app.post(
    '/v1/completions',
    {
      config: { access: 'submit' },
      schema: {
        summary: 'Go on with a text as it is, without a chat template',
        headers: chatHeaders,
        body: completionRequestSchema,
      },
    },
    async (request, reply) => {
      const { body } = request;
      const includeUsage = body.stream_options?.include_usage === true;
      return answerOnConnection(
        {
          body: { ...body, isRaw: true },
          asked: {
            class: 'interactive',
            fallback: body.fallback,
            queueTimeoutMs: body.queue_timeout_ms,
          },
          isStream: body.stream === true,
          shapeOf: (identity) => createCompletionChunks(identity, { includeUsage }),
          answerOf: completionAnswer,
        },
        { request, reply },
        { foreground, deps },
      );
    },
  );
}
