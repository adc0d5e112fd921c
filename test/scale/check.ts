/** Whether the promise was kept while the system grew and shrank. */
import type { StreamSeen } from '../batch/evidence.ts';
import type { JobLeft } from './aftermath.ts';

export interface ScaleEvidence {
  readonly streams: readonly StreamSeen[];
  readonly jobs: readonly JobLeft[];
  readonly crashes: readonly string[];
}

/** A line for each thing that must not be. */
export function checkScale({ streams, jobs, crashes }: ScaleEvidence): string[] {
  const known = new Map(jobs.map((job) => [job.id, job]));
  const asked = new Set(streams.map(({ jobId }) => jobId));
  return [
    ...crashes,
    ...streams.flatMap((stream) => problemOfStream(stream, known)),
    ...jobs.flatMap((job) => problemOfJob(job, asked)),
  ];
}

function problemOfStream(stream: StreamSeen, known: ReadonlyMap<string, JobLeft>): string[] {
  const { jobId, end, text, expected, isGapless, resets } = stream;
  if (jobId === null) return ['a prompt that nobody took'];
  if (!known.has(jobId)) return [`${jobId} was acknowledged and is lost`];
  if (end !== 'completed') return [`the stream of ${jobId}: ${end}`];
  if (!isGapless) return [`the stream of ${jobId} has a gap, or an event twice`];
  if (resets > 0) return [`${jobId} began anew, though its text can be carried on`];
  if (text !== expected) return [`the stream of ${jobId} is another text`];
  return [];
}

function problemOfJob(job: JobLeft, asked: ReadonlySet<string | null>): string[] {
  const { id, status, text, loggedText, isGapless, terminalEvents } = job;
  if (!asked.has(id)) return [`${id} is there twice, or nobody asked for it`];
  if (status !== 'completed') return [`${id} is ${status}`];
  if (terminalEvents !== 1) return [`${id} has ended ${terminalEvents} times`];
  if (!isGapless) return [`the log of ${id} has a gap, or an event twice`];
  if (text !== loggedText) return [`the result of ${id} is not what its log says`];
  return [];
}
