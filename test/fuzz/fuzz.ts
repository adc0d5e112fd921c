/**
 * Fuzz: requests drawn from `/openapi.json`, so that every route takes part that there is, against
 * the real API, with workers that complete what they are given. Read this first.
 */
import fc from 'fast-check';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { completeAll } from '../harness/complete-all.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { exchange } from './exchange.ts';
import { createJudge } from './judge.ts';
import { operationsOf, resolverOf } from './operations.ts';
import type { OpenApi, Operation } from './operations.ts';
import { requestsFor } from './requests.ts';
import type { FuzzRequest } from './requests.ts';

/** At once. */
const BATCH_MAX = 24;
/** Nothing takes so long but what hangs: a machine may have other things to do. */
const ANSWER_MS_MAX = 10_000;
/** Once something has hung, while the smallest request is looked for that does. */
const HUNG_MS = 1_000;
const TIERS = ['fast', 'balanced', 'precise'];
const KNOWN_IDS_MAX = 50;
/** It needs 150 MB; what is kept of every request would show. */
const RESIDENT_BYTES_MAX = 400_000_000;
/** Below all that a test waits for. */
const ENVIRONMENT = {
  QARR_REQUEST_TIMEOUT_MS: '500',
  QARR_PREFER_WAIT_MS_MAX: '200',
  QARR_HEARTBEAT_MS: '100',
};

interface FuzzReport {
  readonly requests: number;
  /** Of each operation: how many were taken, and how many refused. */
  readonly operations: readonly { name: string; taken: number; refused: number }[];
  /** What is wrong, with the smallest requests that show it; null: nothing. */
  readonly failure: string | null;
}

export interface FuzzWorld {
  run(options: { seed: number; batches: number; forMs?: number }): Promise<FuzzReport>;
  /** Throws when the API has logged an error, has not let go of a stream, or has grown. */
  stop(): Promise<void>;
}

export async function startFuzzWorld(): Promise<FuzzWorld> {
  const world = await startApiWorld(ENVIRONMENT);
  const workers = await Promise.all(
    TIERS.map((tier) => world.startWorker(tier, {}, { takesBatches: true })),
  );
  for (const worker of workers) void completeAll(worker);
  const document = (await (await fetch(`${world.api.url}/openapi.json`)).json()) as OpenApi;
  const judge = createJudge(document);
  const operations = operationsOf(document);
  const requests = fc.oneof(
    ...operations.map((operation) => requestsFor(operation, resolverOf(document))),
  );

  return {
    async run({ seed, batches, forMs }) {
      const known = createKnownIds();
      const counts = new Map(operations.map(({ name }) => [name, { name, taken: 0, refused: 0 }]));
      let sent = 0;
      let waitMs = ANSWER_MS_MAX;

      async function problemsOf(drawn: FuzzRequest): Promise<string[]> {
        const request = { ...drawn, target: known.filledIn(drawn) };
        sent += 1;
        const answer = await exchange(request, { port: world.api.port, waitMs });
        if (answer.end === 'hung') waitMs = HUNG_MS;
        const count = counts.get(request.operation.name);
        if (count !== undefined && request.kind !== 'garbage') {
          count[(answer.status ?? 500) < 400 ? 'taken' : 'refused'] += 1;
        }
        if (answer.status === 200) {
          if (request.method === 'DELETE') known.forget(request);
          else known.add(request.operation, answer.body);
        }
        return judge(request, answer).map(
          (problem) =>
            `${problem}: ${shown(request)} -> ${answer.status} ${answer.body.slice(0, 300)}`,
        );
      }
      const property = fc.asyncProperty(
        fc.array(requests, { minLength: 1, maxLength: BATCH_MAX, size: 'max' }),
        async (batch) => {
          const problems = (await Promise.all(batch.map(problemsOf))).flat();
          if (problems.length > 0) throw new Error(problems.join('\n'));
        },
      );
      const limit = forMs === undefined ? {} : { interruptAfterTimeLimit: forMs };
      const details = await fc.check(property, { seed, numRuns: batches, ...limit });
      const failure = details.failed && !details.interrupted ? String(details.errorInstance) : null;
      return { requests: sent, operations: [...counts.values()], failure };
    },
    stop: () => stopWhenQuiet(world),
  };
}

async function stopWhenQuiet(world: ApiWorld): Promise<void> {
  try {
    await waitUntil(
      'all streams are closed',
      async () => (await metric(world, 'qarr_sse_connections')) === 0,
    );
    const residentBytes = await metric(world, 'process_resident_memory_bytes');
    if (residentBytes > RESIDENT_BYTES_MAX)
      throw new Error(`The API has grown to ${residentBytes} bytes.`);
  } finally {
    await world.stop();
  }
}

async function metric({ api }: ApiWorld, name: string): Promise<number> {
  const text = await (await fetch(`${api.opsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** Ids out of answers, so that requests can be about something that there is. */
function createKnownIds() {
  const ids = new Map<string, string[]>();
  return {
    add(operation: Operation, body: string): void {
      const found = [...body.matchAll(/"id":"([^"]+)"/g)].flatMap(([, id]) => id ?? []);
      ids.set(
        noun(operation),
        [...found, ...(ids.get(noun(operation)) ?? [])].slice(0, KNOWN_IDS_MAX),
      );
    },
    forget({ operation, target }: FuzzRequest): void {
      const some = ids.get(noun(operation)) ?? [];
      ids.set(
        noun(operation),
        some.filter((id) => !target.includes(id)),
      );
    },
    filledIn({ operation, target }: FuzzRequest): string {
      const some = ids.get(noun(operation)) ?? [];
      return target.replaceAll(/known\((\d+)\)/g, (_whole, index) =>
        encodeURIComponent(some[Number(index) % some.length] ?? 'none'),
      );
    },
  };
}

/** `/v1/jobs`: who answers with an id knows it again. */
function noun({ path }: Operation): string {
  return path.split('/', 3).join('/');
}

function shown({ method, target, headers, body, raw }: FuzzRequest): string {
  return JSON.stringify(
    raw === null
      ? {
          method,
          target,
          headers,
          body: typeof body === 'object' && body !== null ? [...body] : body,
        }
      : { raw },
  );
}
