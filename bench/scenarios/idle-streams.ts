/** Very many readers of jobs in which nothing happens, of one API: what it keeps for them. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuBetween, readCpu, readMemory } from '../measure/proc.ts';
import type { Figures } from '../report/figures.ts';
import { startQarrAlone } from '../world.ts';
import type { LiveQarr } from '../world.ts';
import { several } from './several.ts';
import { WrongAnswers } from './scenario.ts';
import type { OwnContext, OwnScenario } from './scenario.ts';
import { createSubmitter } from './submit-job.ts';

const STREAMS = 10_000;
/** More would wait for each other. */
const OPENING_MAX = 50;
/** Two heartbeats of each stream. */
const WATCHED_MS = 30_000;
const LOOK_MS = 500;
const BYTES_PER_MB = 1_000_000;
const NS_PER_MS = 1e6;

export const IDLE_STREAMS: OwnScenario = {
  kind: 'own',
  name: 'idle-streams',
  title: `${STREAMS.toLocaleString('en')} streams, each of a job that waits`,
  isQuick: false,
  async run(path, context) {
    const { qarr, upstream, stop } = await startQarrAlone(path, {
      ...context,
      shape: { apis: 1, workers: 0 },
      env: { QARR_QUEUE_DEPTH_MAX: '1000000' },
    });
    const sockets: Socket[] = [];
    try {
      return [await measure(qarr, { sockets, model: upstream.model, context })];
    } finally {
      for (const socket of sockets) socket.destroy();
      await stop();
    }
  },
};

async function measure(
  qarr: LiveQarr,
  {
    sockets,
    model,
    context: { signal, gate },
  }: { sockets: Socket[]; model: string; context: OwnContext },
): Promise<Figures> {
  const submitter = createSubmitter(qarr, { model });
  const ids: string[] = [];
  await several(STREAMS, {
    atOnce: submitter.connections,
    make: async () => void ids.push(await submitter.submit()),
  });
  await submitter.stop();
  await several(STREAMS, {
    atOnce: OPENING_MAX,
    async make(index) {
      signal.throwIfAborted();
      sockets.push(await open(qarr, ids[index] ?? ''));
    },
  });
  await gate.untilQuiet(signal);
  const api = qarr.processes.find(({ role }) => role === 'api')?.pid ?? 0;
  const before = await readCpu(api);
  const beganMs = performance.now();
  let residentMax = 0;
  while (performance.now() - beganMs < WATCHED_MS) {
    await sleep(LOOK_MS, undefined, { signal });
    residentMax = Math.max(residentMax, (await readMemory(api)).residentBytes);
  }
  const cpuMs = cpuBetween(before, await readCpu(api)) / NS_PER_MS;
  const share = cpuMs / (performance.now() - beganMs);
  const closed = sockets.filter(({ destroyed }) => destroyed).length;
  if (closed > 0) throw new WrongAnswers(`${closed} streams were closed`);
  return { residentIdle: residentMax / BYTES_PER_MB, coreShareIdle: share * 100 };
}

/** Resolves when the first event has come. */
async function open({ running: { apiUrl, headers } }: LiveQarr, id: string): Promise<Socket> {
  const { hostname, port } = new URL(apiUrl);
  const socket = connect(Number(port), hostname);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: ${hostname}\r\n${lines.join('')}\r\n`);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('data', (bytes) => {
    if (bytes.includes('event: queued')) resolve();
  });
  socket.once('error', reject);
  socket.once('close', () =>
    reject(new WrongAnswers('A stream was closed before its first event')),
  );
  await promise;
  return socket;
}
