/** Starts a runner of batches: `node apps/api/src/batch-runner/main.ts`. */
import { runProcess } from '@qarr/process';
import { startRunner } from './start-runner.ts';

process.exit(await runProcess('qarr-batch-runner', startRunner));
