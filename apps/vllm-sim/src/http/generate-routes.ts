import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Engine } from '../engine/engine.ts';
import type { Faults } from '../faults/faults.ts';
import { engineFailed } from '../protocol/request-error.ts';
import type { Answer } from './answer.ts';
import { type AnswerDeps, createAnswerBuilder, type GenerateRequest } from './build-answer.ts';
import { collectAnswer } from './collect-answer.ts';
import { enterEngine } from './engine-door.ts';
import { createEventStream } from './event-stream.ts';
import { requireJson } from './json-body.ts';
import { keepAlive } from './keep-alive.ts';
import { requireObject } from './model.ts';
import { requestIdOf } from './request-id.ts';
import type { RequestLog } from './request-log.ts';
import type { ServerLoad } from './server-load.ts';
import { streamAnswer } from './stream-answer.ts';

type GenerateDeps = AnswerDeps & {
  engine: Engine;
  requestLog: RequestLog;
  faults: Faults;
  load: ServerLoad;
  /** 0 means never. */
  keepAliveIntervalMs: number;
};

/** POST /v1/chat/completions, /v1/completions and /inference/v1/generate. */
export function addGenerateRoutes(app: FastifyInstance, deps: GenerateDeps): void {
  const { persona } = deps;
  const build = createAnswerBuilder(deps);
  const options = { onRequest: requireJson(persona) };

  app.post('/v1/chat/completions', options, (request, reply) =>
    generate(reply, build.chat(receive(request))),
  );
  app.post('/v1/completions', options, (request, reply) =>
    generate(reply, build.completion(receive(request))),
  );
  if (persona.routes.generate) {
    app.post('/inference/v1/generate', options, (request, reply) =>
      generate(reply, build.tokens(receive(request))),
    );
  }

  function receive(request: FastifyRequest): GenerateRequest {
    const body = requireObject(request.body);
    return {
      body,
      priorityHeader: request.headers['x-vllm-priority'],
      requestIdOf: (field) => requestIdOf(request, { persona, field }),
    };
  }

  async function generate(reply: FastifyReply, answer: Answer): Promise<unknown> {
    const { engine, faults, requestLog } = deps;
    const response = reply.raw;
    enterEngine(engine, answer.sequences.length);
    deps.load.begin(response);
    if (answer.stream) {
      reply.hijack();
      const stream = faults.disturb(createEventStream(response), response);
      streamAnswer({
        answer,
        engine,
        persona,
        stream: keepAlive(stream, { response, intervalMs: deps.keepAliveIntervalMs }),
        cut() {
          requestLog.cut(response);
          response.destroy();
        },
      });
      return reply;
    }
    if (answer.refusal !== undefined) throw answer.refusal;
    const collected = await collectAnswer({ answer, engine, response });
    if (collected === 'failed') return fail(reply);
    return collected === 'gone' ? reply.hijack() : collected.body;
  }

  /** vLLM 0.6.4 answers for a dead engine with a bare 500 (its launcher's handler; not verified). */
  function fail(reply: FastifyReply): FastifyReply {
    if (persona.engineFailure === 'cut') return reply.status(500).send();
    throw engineFailed();
  }
}
