/** All paths but QARR's, in the order of the report's columns. */
import { direct } from './direct.ts';
import { floor, floorLog } from './floor/floor.ts';
import type { Path } from './path.ts';
import { litellm } from './peers/litellm.ts';
import { llms } from './peers/llms.ts';
import { portkey } from './peers/portkey.ts';
import { proxy } from './proxy.ts';

export const PATHS: readonly Path[] = [direct, proxy, floor, floorLog, portkey, llms];

/** Its packages are many, and Python's: only where it is asked for. */
export const ASKED_FOR: readonly Path[] = [litellm];
