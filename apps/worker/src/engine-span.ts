/** One call of an engine as a span, by OpenTelemetry's conventions for generative AI. */
import type { Span, Tracing } from '@qarr/process';
import { isRaw } from '@qarr/router-core';
import type { EngineRequest } from '@qarr/router-core';
import type { EngineOutcome } from './engine.ts';

export function beginEngineSpan(
  request: EngineRequest,
  {
    tracing,
    parent,
    model,
    url,
  }: { tracing: Pick<Tracing, 'span'>; parent: string; model: string; url: string },
): Span {
  const operation = isRaw(request) ? 'text_completion' : 'chat';
  const span = tracing.span(`${operation} ${model}`, { kind: 'client', parent });
  if (!span.isRecorded) return span;
  const { hostname, port, protocol } = new URL(url);
  const { max_tokens: maxTokens, temperature, top_p: topP, n } = request;
  span.set({
    'gen_ai.operation.name': operation,
    // What speaks its protocol: the engine itself says nothing of what it is.
    'gen_ai.provider.name': 'vllm',
    'gen_ai.request.model': model,
    'gen_ai.request.max_tokens': maxTokens,
    'gen_ai.request.temperature': temperature,
    'gen_ai.request.top_p': topP,
    'gen_ai.request.choice.count': n,
    'gen_ai.request.stream': true,
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
  });
  return span;
}

export function endEngineSpan(span: Span, { usage, ending }: EngineOutcome): void {
  if (usage !== null) {
    span.set({
      'gen_ai.usage.input_tokens': usage.prompt_tokens,
      'gen_ai.usage.output_tokens': usage.completion_tokens,
    });
  }
  if (ending.kind === 'whole') {
    span.set({ 'gen_ai.response.finish_reasons': [...ending.finishReasons] });
  } else {
    // Stopped by its worker, it has not failed; but whoever counts what was answered leaves it out.
    if (ending.kind === 'failed') span.fail(ending.failure.code);
    else span.set({ 'error.type': 'aborted' });
  }
  span.end();
}
