import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { errorAnswer } from './error-answers.ts';
import type { NamesOf, ParamsOf } from './fault-table.ts';
import { waitMs } from './stream/serial.ts';
import type { Injection } from './stream/stream-fault.ts';

/** Whether the request is still to be answered. */
type Outcome = 'go on' | 'answered';

type BeforeFaults = {
  readonly [Name in NamesOf<'before'>]: (
    reply: FastifyReply,
    params: ParamsOf<Name>,
    injection: Injection,
  ) => Outcome | Promise<Outcome>;
};

const BEFORE_FAULTS: BeforeFaults = {
  status(reply, params, { tookTheEnd }) {
    tookTheEnd();
    if (params.retry_after !== undefined) reply.header('retry-after', params.retry_after);
    const answer = errorAnswer(params);
    // The error handler knows the persona's shape.
    if (answer.kind === 'shaped') throw answer.error;
    void reply.status(params.status).type(answer.contentType).send(answer.body);
    return 'answered';
  },

  reset(reply, _params, { tookTheEnd }) {
    tookTheEnd();
    reply.hijack();
    reply.raw.socket?.resetAndDestroy();
    return 'answered';
  },

  close(reply, _params, { tookTheEnd }) {
    tookTheEnd();
    reply.hijack();
    reply.raw.socket?.destroy();
    return 'answered';
  },

  hang_before_headers(reply, _params, { took }) {
    took();
    reply.hijack();
    return 'answered';
  },

  async slow_headers(reply, params, { took }) {
    took();
    await waitMs(params.ms, closeSignal(reply.raw));
    if (!reply.raw.destroyed) return 'go on';
    reply.hijack();
    return 'answered';
  },

  redirect(reply, params, { tookTheEnd }) {
    tookTheEnd();
    void reply.status(params.status).header('location', params.to).send();
    return 'answered';
  },

  early_status(reply, params, { took }) {
    took();
    for (let sent = 0; sent < params.count; sent += 1) writeInterim(reply.raw, params.status);
    return 'go on';
  },
};

/** Does what a fault does before the headers of an answer. @throws RequestError as the answer */
export async function faultBeforeHeaders<Name extends NamesOf<'before'>>(
  reply: FastifyReply,
  fault: { readonly name: Name; readonly params: ParamsOf<Name> },
  injection: Injection,
): Promise<Outcome> {
  return BEFORE_FAULTS[fault.name](reply, fault.params, injection);
}

function writeInterim(response: ServerResponse, status: '100' | '102' | '103'): void {
  switch (status) {
    case '100':
      return response.writeContinue();
    case '102':
      return response.writeProcessing();
    case '103':
      return response.writeEarlyHints({ link: '</v1/models>; rel=preload' });
    default:
      return status satisfies never;
  }
}

function closeSignal(response: ServerResponse): AbortSignal {
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  return closed.signal;
}
