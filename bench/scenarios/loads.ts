/** Scenarios that are a load: the same for every path that takes part. */
import { ONE_OF_EACH } from './scenario.ts';
import type { LoadScenario } from './scenario.ts';

/** Of an engine that is real, or nearly. */
const STEP_MS = 20;
const PROMPT_BYTES = 700;
/** 890 tokens/s at 20 requests/s: what an answer of a chat is on average. */
const CHAT_TOKENS = 45;
const WITHOUT_PEERS = ['direct', 'proxy', 'floor', 'qarr'];
const WITH_LOG = [...WITHOUT_PEERS, 'floor-log'];
const ALL = [...WITHOUT_PEERS, 'portkey', 'llms', 'litellm'];

interface Paced {
  readonly streams: number;
  readonly tokens: number;
  readonly paths: readonly string[];
  readonly isQuick?: boolean;
  readonly isTarget?: boolean;
}

function paced({ streams, tokens, paths, isQuick = false, isTarget = false }: Paced): LoadScenario {
  return {
    kind: 'load',
    name: `paced-${streams}`,
    title: `${streams} ${streams === 1 ? 'stream' : 'streams'}, ${tokens} tokens each, ${STEP_MS} ms a step`,
    series: { of: 'streams', x: streams },
    isQuick,
    isTarget,
    shape: ONE_OF_EACH,
    paths,
    stepMs: STEP_MS,
    load: {
      arrivals: { kind: 'closed', concurrency: streams },
      tokens,
      promptBytes: PROMPT_BYTES,
    },
  };
}

function open(perS: number): LoadScenario {
  return {
    kind: 'load',
    name: `open-${perS}`,
    title: `open loop, ${perS} requests/s, ${CHAT_TOKENS} tokens each, ${STEP_MS} ms a step`,
    series: { of: 'rate', x: perS },
    isQuick: false,
    shape: ONE_OF_EACH,
    paths: WITHOUT_PEERS,
    stepMs: STEP_MS,
    load: {
      // The seed of the run is put in.
      arrivals: { kind: 'open', perS, seed: 0 },
      tokens: CHAT_TOKENS,
      promptBytes: PROMPT_BYTES,
    },
  };
}

/** All answers are of that length, where their number is given. */
function output(tokens: number, requestsMax: number): LoadScenario {
  return {
    kind: 'load',
    name: `output-${tokens}`,
    title: `10 streams, ${tokens} tokens each, 2 ms a step`,
    series: { of: 'output', x: tokens },
    isQuick: false,
    shape: ONE_OF_EACH,
    paths: ['proxy', 'floor', 'floor-log', 'qarr'],
    stepMs: 2,
    load: {
      arrivals: { kind: 'closed', concurrency: 10 },
      requestsMax,
      tokens,
      promptBytes: PROMPT_BYTES,
    },
  };
}

function shaped(apis: number, workers: number): LoadScenario {
  return {
    ...paced({ streams: 200, tokens: 64, paths: ['floor', 'floor-log', 'qarr'] }),
    name: `shape-${apis}-${workers}`,
    title: `200 streams, 64 tokens each, ${STEP_MS} ms a step: ${apis} API, ${workers} workers`,
    series: { of: 'processes', x: apis + workers },
    shape: { apis, workers },
  };
}

export const LOADS: readonly LoadScenario[] = [
  paced({ streams: 1, tokens: 2, paths: ALL, isQuick: true, isTarget: true }),
  paced({ streams: 10, tokens: 32, paths: WITHOUT_PEERS }),
  paced({ streams: 50, tokens: 32, paths: ALL, isQuick: true, isTarget: true }),
  paced({ streams: 200, tokens: 64, paths: WITH_LOG, isQuick: true, isTarget: true }),
  paced({ streams: 800, tokens: 64, paths: WITHOUT_PEERS }),
  {
    kind: 'load',
    name: 'saturation',
    title: '50 streams, 256 tokens each, as fast as they are taken',
    isQuick: true,
    isTarget: true,
    shape: ONE_OF_EACH,
    paths: WITHOUT_PEERS,
    stepMs: 0,
    load: {
      arrivals: { kind: 'closed', concurrency: 50 },
      tokens: 256,
      promptBytes: PROMPT_BYTES,
    },
  },
  {
    kind: 'load',
    name: 'one-token',
    title: 'one-token jobs, 50 at once',
    isQuick: true,
    isTarget: true,
    shape: ONE_OF_EACH,
    paths: ALL,
    stepMs: 0,
    load: {
      arrivals: { kind: 'closed', concurrency: 50 },
      tokens: 1,
      promptBytes: PROMPT_BYTES,
    },
  },
  open(20),
  open(100),
  {
    kind: 'load',
    name: 'followed-later',
    title: `jobs that are submitted and followed a second later, 20 at once, ${CHAT_TOKENS} tokens each`,
    isQuick: false,
    shape: ONE_OF_EACH,
    paths: ['qarr'],
    stepMs: STEP_MS,
    load: {
      arrivals: { kind: 'closed', concurrency: 20 },
      exchanging: { kind: 'job', followAfterMs: 1_000 },
      tokens: CHAT_TOKENS,
      promptBytes: PROMPT_BYTES,
    },
  },
  output(10, 1_000_000),
  output(100, 1_000_000),
  output(1_000, 10),
  output(4_000, 10),
  shaped(1, 2),
  shaped(1, 4),
  shaped(2, 1),
  shaped(2, 4),
];
