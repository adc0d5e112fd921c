/** Starts a runner of batches: `node apps/api/src/batch-runner/main.ts`. */
import { boundHeap, growYoungGeneration } from '../bound-heap.ts';

// Before anything else is loaded, which alone would make the heap grow beyond what it needs.
boundHeap();
const [{ runProcess }, { startRunner }] = await Promise.all([
  import('@qarr/process'),
  import('./start-runner.ts'),
]);
growYoungGeneration();
process.exit(await runProcess('qarr-batch-runner', startRunner));
