/** What a line of a batch asks of its job, whatever its endpoint. */
import { chatOfResponse, messagesOfItems } from '@qarr/router-core';
import type { LineRequest } from '@qarr/router-core';
import { storedResponse } from '../responses/submit-response.ts';
import type { RoutedBody } from '../route-request.ts';
import type { JobOptions } from '../submit-job.ts';

export interface AskedByLine {
  readonly body: RoutedBody;
  readonly options: Pick<
    JobOptions,
    'fallback' | 'onInterrupt' | 'queueTimeoutMs' | 'runTimeoutMs' | 'metadata' | 'response'
  >;
}

export function askedByLine({ endpoint, body }: LineRequest): AskedByLine {
  const { fallback, queue_timeout_ms: queueTimeoutMs } = body;
  // Nobody has seen anything of an answer that is interrupted.
  const onInterrupt = 'restart';
  switch (endpoint) {
    case '/v1/completions':
      return { body, options: { fallback, queueTimeoutMs, onInterrupt } };
    case '/v1/chat/completions': {
      const { run_timeout_ms: runTimeoutMs, metadata, on_interrupt: asked } = body;
      const options = { fallback, queueTimeoutMs, runTimeoutMs, metadata };
      return { body, options: { ...options, onInterrupt: asked ?? onInterrupt } };
    }
    case '/v1/responses': {
      const { run_timeout_ms: runTimeoutMs, metadata, input } = body;
      // It is in the batch's output, and nowhere else.
      const response = storedResponse({ ...body, store: false }, messagesOfItems(input).length);
      return {
        body: chatOfResponse(body, { goneBefore: [], input }),
        options: { fallback, queueTimeoutMs, runTimeoutMs, metadata, onInterrupt, response },
      };
    }
    default:
      return endpoint satisfies never;
  }
}
