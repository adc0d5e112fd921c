/**
 * Asks a real API server of Kubernetes whether it takes what the overlays render to: unknown fields, wrong
 * values and pods beyond the restricted standard are refused. `npm run kubernetes-check`, with etcd,
 * kube-apiserver and the folder `crds` in KUBEBUILDER_ASSETS: see server-tools.sh.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../harness/redis-server.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { FOLDER, OVERLAYS, YAML, rendered, workloadsOf } from './objects.ts';

const assets = process.env['KUBEBUILDER_ASSETS'] ?? '';
const missing = ['etcd', 'kube-apiserver', 'crds'].filter(
  (name) => !existsSync(join(assets, name)),
);
if (assets === '' || missing.length > 0) {
  say(
    'skipped: KUBEBUILDER_ASSETS names no folder with etcd, kube-apiserver and crds (test/kubernetes/server-tools.sh)',
  );
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'qarr-kube-apiserver-'));
const started: ChildProcess[] = [];
let refused = 0;
try {
  const kubectl = await startServer();
  kubectl(['apply', '--server-side', '-f', join(assets, 'crds')]);
  for (const overlay of OVERLAYS) {
    const file = join(FOLDER, 'rendered', `${overlay}.yaml`);
    report(overlay, () => kubectl(['apply', '--server-side', '--validate=strict', '-f', file]));
    // Nobody makes pods of Deployments here, and only of pods the namespace asks for its standard.
    for (const { name, labels, pod, claims } of workloadsOf(rendered(overlay))) {
      const metadata = { name, namespace: 'qarr', labels };
      const volumes = [...(pod.volumes ?? []), ...claims.map((claim) => ({ name: claim }))];
      const text = stringify(
        { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...pod, volumes } },
        YAML,
      );
      const apply = ['apply', '--server-side', '--validate=strict', '--dry-run=server', '-f', '-'];
      report(`${overlay}: a pod of ${name}`, () => kubectl(apply, text));
    }
  }
  const rules = execFileSync('sh', [join(FOLDER, 'prometheus-rules.sh')], { encoding: 'utf8' });
  report('rules of Prometheus', () =>
    kubectl(['apply', '--server-side', '-n', 'qarr', '-f', '-'], rules),
  );
} finally {
  for (const child of started.toReversed()) await stop(child);
  rmSync(folder, { recursive: true, force: true });
}
process.exit(refused === 0 ? 0 : 1);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function report(what: string, apply: () => void): void {
  try {
    apply();
    say(`taken    ${what}`);
  } catch (error) {
    refused += 1;
    say(`REFUSED  ${what}: ${(error as Error).message}`);
  }
}

async function startServer(): Promise<(args: string[], input?: string) => void> {
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const etcd = `http://127.0.0.1:${etcdPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const certificates = join(folder, 'certificates');
  mkdirSync(certificates);
  run('openssl', ['genrsa', '-out', join(folder, 'key.pem'), '2048']);
  writeFileSync(join(folder, 'tokens.csv'), 'check,check,1,system:masters\n');
  start('etcd', {
    'data-dir': join(folder, 'etcd'),
    'listen-client-urls': etcd,
    'advertise-client-urls': etcd,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
  });
  start('kube-apiserver', {
    'etcd-servers': etcd,
    'bind-address': '127.0.0.1',
    'secure-port': String(port),
    'cert-dir': certificates,
    'service-account-issuer': 'https://check.local',
    'service-account-key-file': join(folder, 'key.pem'),
    'service-account-signing-key-file': join(folder, 'key.pem'),
    'token-auth-file': join(folder, 'tokens.csv'),
    'service-cluster-ip-range': '10.0.0.0/24',
  });
  const server = ['--server', `https://127.0.0.1:${port}`, '--token', 'check'];
  const kubectl = (args: string[], input?: string) =>
    run('kubectl', [...server, '--insecure-skip-tls-verify=true', ...args], input);
  await waitUntil(
    'the API server is ready',
    async () => answers(() => kubectl(['get', '--raw=/readyz'])),
    {
      timeoutMs: 120_000,
      everyMs: 500,
    },
  );
  return kubectl;
}

function start(name: string, options: Record<string, string>): void {
  const args = Object.entries(options).map(([option, value]) => `--${option}=${value}`);
  started.push(spawn(join(assets, name), args, { stdio: 'ignore', cwd: folder }));
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

function run(command: string, args: readonly string[], input = ''): void {
  try {
    execFileSync(command, args, { input, encoding: 'utf8', stdio: 'pipe', timeout: 60_000 });
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Error(stderr === undefined || stderr === '' ? message : stderr.trim(), {
      cause: error,
    });
  }
}

function answers(ask: () => void): boolean {
  try {
    ask();
    return true;
  } catch {
    // Not yet.
    return false;
  }
}
