/** `/v1/chat/completions`: OpenAI's surface, on top of a job that is bound to its connection. */
import { chatRequestSchema, classOfServiceTier, servedAs } from '@qarr/router-core';
import type { Api, ApiDeps } from '../app.ts';
import { requireClass } from '../caller.ts';
import { createChatChunks } from '../chat-chunks.ts';
import { chatCompletion } from '../chat-completion.ts';
import { createForeground } from '../foreground.ts';
import { answerOnConnection } from '../foreground-request.ts';
import { chatHeaders } from '../submit-headers.ts';

export function registerChatRoutes(app: Api, deps: ApiDeps): void {
  const foreground = createForeground(deps);

  app.post(
    '/v1/chat/completions',
    {
      config: { access: 'submit' },
      schema: {
        summary: "Chat, as OpenAI's clients do it, or with prompt and system_prompt",
        headers: chatHeaders,
        body: chatRequestSchema,
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      requireClass(caller, body.class);
      const includeUsage = body.stream_options?.include_usage === true;
      const serviceTier = servedAs(body.service_tier);
      return answerOnConnection(
        {
          body,
          asked: {
            class: body.class ?? classOfServiceTier(body.service_tier) ?? 'interactive',
            fallback: body.fallback,
            onInterrupt: body.on_interrupt,
            queueTimeoutMs: body.queue_timeout_ms,
            runTimeoutMs: body.run_timeout_ms,
            metadata: body.metadata,
          },
          isStream: body.stream === true,
          shapeOf: (identity) => createChatChunks({ ...identity, serviceTier }, { includeUsage }),
          answerOf: (record) => chatCompletion(record, { serviceTier }),
        },
        { request, reply },
        { foreground, deps },
      );
    },
  );
}
