/** The answer of one attempt: collected while it is published, and timed. */
import type { AnswerDelta, AttemptLog, ClaimedJob, SoFar } from '@qarr/job-store';
import type { FinishReason, JobResult, Logprobs, Timings, ToolCall } from '@qarr/router-core';
import { isVisible } from './engine-chunk.ts';
import type { WorkerMetrics } from './metrics.ts';

export interface Answer {
  /** Something of it was published, by this attempt or by the one that it carries on. */
  readonly hasBegun: boolean;
  add(delta: AnswerDelta): void;
  result(finishReasons: readonly [FinishReason, ...FinishReason[]]): JobResult;
  timings(job: Pick<ClaimedJob, 'queueWaitMs'>): Timings;
}

/** What has come of one choice. */
interface Choice {
  text: string;
  reasoning: string;
  /** By their index: an engine may leave some out. */
  readonly toolCalls: Map<number, ToolCall>;
  readonly logprobs: Logprobs['content'];
}

export function createAnswer(
  { soFar }: { soFar: SoFar | null },
  attemptLog: Pick<AttemptLog, 'append'>,
  metrics: Pick<WorkerMetrics, 'firstToken' | 'nextToken'>,
): Answer {
  const beganMs = performance.now();
  let firstMs: number | null = null;
  let lastMs = beganMs;
  const choices = new Map<number, Choice>();
  if (soFar !== null) choiceOf(0).text = soFar.text;

  function choiceOf(index: number): Choice {
    const choice = choices.get(index) ?? {
      text: '',
      reasoning: '',
      toolCalls: new Map(),
      logprobs: [],
    };
    choices.set(index, choice);
    return choice;
  }

  function time(): void {
    const nowMs = performance.now();
    if (firstMs === null) {
      firstMs = nowMs;
      metrics.firstToken(nowMs - beganMs);
    } else {
      metrics.nextToken(nowMs - lastMs);
    }
    lastMs = nowMs;
  }

  return {
    get hasBegun() {
      return firstMs !== null || soFar !== null;
    },
    add(delta) {
      if (isVisible(delta)) time();
      collect(choiceOf(delta.index ?? 0), delta);
      attemptLog.append(delta);
    },
    result([first, ...others]) {
      const finished = [first, ...others].map((finishReason, index) =>
        wholeChoice(choiceOf(index), finishReason),
      );
      return {
        ...wholeChoice(choiceOf(0), first),
        ...(finished.length > 1 ? { choices: finished } : {}),
        continued: soFar?.continued ?? 0,
      };
    },
    timings: ({ queueWaitMs }) => ({
      // By Redis's clock, which may be set back.
      queue_wait_ms: Math.max(0, queueWaitMs),
      ttft_ms: firstMs === null ? null : round(firstMs - beganMs),
      run_ms: round(performance.now() - beganMs),
    }),
  };
}

function collect(choice: Choice, { text, reasoning, toolCalls = [], logprobs }: AnswerDelta): void {
  choice.text += text;
  choice.reasoning += reasoning ?? '';
  for (const piece of toolCalls) {
    const call: ToolCall = choice.toolCalls.get(piece.index) ?? {
      id: '',
      type: 'function',
      function: { name: '', arguments: '' },
    };
    choice.toolCalls.set(piece.index, call);
    call.id ||= piece.id ?? '';
    call.function.name += piece.function?.name ?? '';
    call.function.arguments += piece.function?.arguments ?? '';
  }
  for (const entry of logprobs?.content ?? []) choice.logprobs.push(entry);
}

function wholeChoice({ text, reasoning, toolCalls, logprobs }: Choice, finishReason: FinishReason) {
  return {
    text,
    ...(reasoning === '' ? {} : { reasoning }),
    ...(toolCalls.size === 0 ? {} : { tool_calls: inOrder(toolCalls) }),
    ...(logprobs.length === 0 ? {} : { logprobs: { content: logprobs } }),
    finish_reason: finishReason,
  };
}

function inOrder(toolCalls: ReadonlyMap<number, ToolCall>): ToolCall[] {
  return [...toolCalls].toSorted(([a], [b]) => a - b).map(([, call]) => call);
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
