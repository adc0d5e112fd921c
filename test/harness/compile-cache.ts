/** The same sources are started dozens of times: this halves what a start costs. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const COMPILE_CACHE = { NODE_COMPILE_CACHE: join(tmpdir(), 'qarr-tests-compiled') };
