/** Starts an API replica: `node apps/api/src/main.ts`. */
import { boundHeap, growYoungGeneration } from './bound-heap.ts';

// Before anything else is loaded, which alone would make the heap grow beyond what it needs.
boundHeap();
const [{ runProcess }, { startApi }] = await Promise.all([
  import('@qarr/process'),
  import('./start-api.ts'),
]);
growYoungGeneration();
process.exit(await runProcess('qarr-api', startApi));
