/** All scenarios, in the order in which they are run. */
import { BACKLOGS } from './backlog.ts';
import { BATCHES } from './batch.ts';
import { COLD_START } from './cold-start.ts';
import { COUNTS } from './counts.ts';
import { IDLE_STREAMS } from './idle-streams.ts';
import { LOADS } from './loads.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...LOADS,
  ...COUNTS,
  ...BACKLOGS,
  ...BATCHES,
  IDLE_STREAMS,
  COLD_START,
];
