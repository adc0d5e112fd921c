/** By which Prometheus can watch the processes of a stack: their ops ports, and a file that names them. */
import { hostInUrl, isPortFree } from '../processes/ports.ts';

const PORT_MAX = 65_535;
/** Of a machine on which more than so many in a row are taken. */
const TRIES_MAX = 100;

/**
 * The free ports that follow on the API's ops port. 0, which is any, for what finds none, and for all
 * where the API takes any. They are known before anything is started, and stay what they are when a
 * process is started again.
 */
export async function chooseOpsPorts({
  host,
  opsPort,
  port,
  count,
}: {
  host: string;
  opsPort: number;
  /** The API's, which is nobody else's. */
  port: number;
  count: number;
}): Promise<number[]> {
  const ports: number[] = [];
  if (opsPort === 0) return Array.from({ length: count }, () => 0);
  const last = Math.min(PORT_MAX, opsPort + count + TRIES_MAX);
  for (let candidate = opsPort + 1; candidate <= last; candidate += 1) {
    if (ports.length === count) break;
    if (candidate === port) continue;
    if (await isPortFree({ host, port: candidate })) ports.push(candidate);
  }
  return [...ports, ...Array.from({ length: count - ports.length }, () => 0)];
}

/** As `file_sd_configs` of Prometheus reads it. */
interface TargetGroup {
  readonly labels: Readonly<Record<string, string>>;
  readonly targets: readonly string[];
}

/** The jobs are called as in `deploy/prometheus`; alerts look for that. */
export function targetsFor({
  host,
  api,
  batchRunner,
  workers,
  engines,
}: {
  /** Where all of them listen. */
  host: string;
  api: number;
  batchRunner: number;
  workers: readonly number[];
  engines: readonly { readonly tier: string; readonly urls: readonly string[] }[];
}): TargetGroup[] {
  const at = (ports: readonly number[]) =>
    ports.filter((port) => port !== 0).map((port) => `${hostInUrl(host)}:${port}`);
  const groups = [
    { labels: { job: 'qarr-api' }, targets: at([api]) },
    { labels: { job: 'qarr-batch-runner' }, targets: at([batchRunner]) },
    { labels: { job: 'qarr-worker' }, targets: at(workers) },
    ...engines.map(({ tier, urls }) => ({
      labels: { job: 'qarr-engine', tier },
      targets: urls.flatMap(engineTarget),
    })),
  ];
  return groups.filter(({ targets }) => targets.length > 0);
}

/** None for what is not asked plainly at `/metrics`. */
function engineTarget(text: string): string[] {
  const url = new URL(text);
  return url.protocol === 'http:' && url.pathname === '/'
    ? [`${url.hostname}:${url.port || 80}`]
    : [];
}
