/** Whether a batch kept its promise: pure, from the evidence of a run. Nothing is said where it did. */
import type { Evidence, FileSeen, Kill } from './evidence.ts';
import type { SeenRun } from './witness.ts';

export interface Violation {
  /** A word by which it is counted. */
  readonly rule: string;
  readonly message: string;
}

type Check = (evidence: Evidence) => string[];

/**
 * What a worker has got from its engine and not yet written when it or Redis is killed, it gets again;
 * and a worker that finds no Redis stops in the middle.
 */
const UNWRITTEN_MS = 1_000;
/** A request that a worker has sent before it was killed may be seen only then: this machine is busy. */
const SEEN_LATE_MS = 1_000;
const ORDER = ['validating', 'in_progress', 'finalizing', 'completed'];

const CHECKS: Readonly<Record<string, Check>> = {
  once: onceEach,
  counts: countsAddUp,
  files: filesAreWhole,
  answers: answersBelong,
  runs: nothingRunsTwice,
  results: resultsAgree,
  life: lifeIsLegal,
  streams: streamsAreUnharmed,
};

export function checkBatch(evidence: Evidence): Violation[] {
  return Object.entries(CHECKS).flatMap(([rule, check]) =>
    check(evidence).map((message) => ({ rule, message })),
  );
}

/** Runs of a line beyond its first that a kill explains: in flight then, or hardly over. */
function isExplained(earlier: SeenRun, again: SeenRun, kills: readonly Kill[]): boolean {
  return kills.some(
    ({ kind, atMs }) =>
      (kind === 'worker' || kind === 'redis') &&
      earlier.fromMs <= atMs + SEEN_LATE_MS &&
      again.fromMs >= atMs &&
      (earlier.toMs === null || earlier.toMs >= atMs - UNWRITTEN_MS),
  );
}

function onceEach({ lines, outcomes }: Evidence): string[] {
  const times = new Map<string, number>(lines.map(({ customId }) => [customId, 0]));
  const problems: string[] = [];
  for (const { customId } of outcomes) {
    const before = times.get(customId);
    if (before === undefined) problems.push(`${customId} was never asked for`);
    else times.set(customId, before + 1);
  }
  for (const [customId, count] of times) {
    if (count !== 1) problems.push(`${customId} is there ${count} times`);
  }
  return problems;
}

function countsAddUp({ lines, batch, outcomes }: Evidence): string[] {
  const { total, completed, failed } = batch.request_counts;
  const output = outcomes.filter(({ file }) => file === 'output');
  const error = outcomes.length - output.length;
  const problems: string[] = [];
  if (total !== lines.length) problems.push(`total is ${total} of ${lines.length} lines`);
  if (completed !== output.length) problems.push(`completed ${completed}, lines ${output.length}`);
  if (failed !== error) problems.push(`failed ${failed}, lines ${error}`);
  if (completed + failed !== total) problems.push(`${completed} + ${failed} is not ${total}`);
  const input = sumOf(output.map(({ promptTokens }) => promptTokens));
  const made = sumOf(output.map(({ completionTokens }) => completionTokens));
  const { usage } = batch;
  if (usage?.input_tokens !== input || usage.output_tokens !== made) {
    problems.push(`usage is ${JSON.stringify(usage)}, its lines used ${input} and ${made}`);
  }
  return problems;
}

function filesAreWhole({ batch, atEnd, later }: Evidence): string[] {
  const { completed, failed } = batch.request_counts;
  return [
    ...wholeFile('output', completed, atEnd.output, later.output),
    ...wholeFile('error', failed, atEnd.error, later.error),
  ];
}

function wholeFile(
  name: string,
  lines: number,
  atEnd: FileSeen | null,
  later: FileSeen | null,
): string[] {
  if (lines === 0) return atEnd === null ? [] : [`an ${name} file without lines`];
  if (atEnd === null || later === null) return [`no ${name} file`];
  const problems: string[] = [];
  if (atEnd.bytes !== atEnd.contentBytes) {
    problems.push(`the ${name} file has ${atEnd.contentBytes} of ${atEnd.bytes} bytes`);
  }
  if (atEnd.lines !== lines) problems.push(`the ${name} file has ${atEnd.lines} of ${lines} lines`);
  if (atEnd.sha256 !== later.sha256) problems.push(`the ${name} file has changed after the end`);
  return problems;
}

function answersBelong({ lines, outcomes, undisturbed }: Evidence): string[] {
  const wrong = new Map(lines.map((line) => [line.customId, line.wrong]));
  return outcomes.flatMap(({ customId, status, code, text, file }) => {
    const expected = wrong.get(customId);
    if (expected === undefined) return [];
    if (expected !== null) {
      return file === 'error' && status === expected
        ? []
        : [`${customId} is ${status} in the ${file} file, not ${expected}`];
    }
    if (file === 'error') return [`${customId} has failed: ${status} ${code}`];
    const known = undisturbed.get(customId);
    return known === undefined || known === text ? [] : [`${customId} has another's answer`];
  });
}

function nothingRunsTwice({ lines, runs, kills }: Evidence): string[] {
  return lines.flatMap(({ customId, wrong }, index) => {
    const own = runs.get(index) ?? [];
    if (wrong !== null) return own.length === 0 ? [] : [`${customId} ran, and should not have`];
    if (own.length === 0) return [`${customId} never ran`];
    return own.slice(1).flatMap((again, at) => {
      const earlier = own[at];
      return earlier !== undefined && isExplained(earlier, again, kills)
        ? []
        : [`${customId} ran again without a reason`];
    });
  });
}

function resultsAgree({ outcomes, results }: Evidence): string[] {
  const seen = new Set(results);
  const problems = outcomes.flatMap(({ customId }) =>
    seen.has(customId) ? [] : [`${customId} is not in the results`],
  );
  if (results.length !== outcomes.length) {
    problems.push(`${results.length} results, ${outcomes.length} lines`);
  }
  return problems;
}

function lifeIsLegal({ polls, batch }: Evidence): string[] {
  const end = batch.status === 'completed' ? [] : [`it is ${batch.status} in the end`];
  const life = polls.flatMap((poll, index) => {
    const before = polls[index - 1];
    const problems: string[] = [];
    if (!ORDER.includes(poll.status)) problems.push(`it is ${poll.status}`);
    if (poll.completed + poll.failed > poll.total) problems.push('more outcomes than lines');
    if (before === undefined) return problems;
    if (ORDER.indexOf(poll.status) < ORDER.indexOf(before.status)) {
      problems.push(`from ${before.status} to ${poll.status}`);
    }
    if (poll.completed < before.completed || poll.failed < before.failed) {
      problems.push(`outcomes have become fewer: ${JSON.stringify([before, poll])}`);
    }
    return problems;
  });
  return [...end, ...life];
}

function streamsAreUnharmed({ streams }: Evidence): string[] {
  return streams.flatMap(({ end, text, expected, isGapless }, index) => {
    if (end !== 'completed') return [`stream ${index} ended as ${end}`];
    if (!isGapless) return [`stream ${index} has a gap, or an event twice`];
    return expected === null || expected === text ? [] : [`stream ${index} has another text`];
  });
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
