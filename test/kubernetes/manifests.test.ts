/** What deploy/kubernetes asks of a cluster, and whether our processes can live with it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDeployment } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { environmentSchema as runnerSchema } from '../../apps/api/src/batch-runner/config.ts';
import { environmentSchema as apiSchema } from '../../apps/api/src/config.ts';
import { environmentSchema as workerSchema } from '../../apps/worker/src/config.ts';
import {
  FOLDER,
  OVERLAYS,
  environmentOf,
  objectNamed,
  ofKind,
  rendered,
  selects,
  workload,
  workloadsOf,
} from './objects.ts';
import { digestOfSources, render, renderer } from './render.ts';
import { schemaProblem } from './schemas.ts';

const OURS = ['api', 'batch-runner', 'worker'];
/** Of Kubernetes and of the manifests' own, read by no process. */
const NOT_OURS = ['TIER', 'POD_IP'];
const SCHEMAS = { api: apiSchema, 'batch-runner': runnerSchema, worker: workerSchema };
/** After QARR_DRAIN_MS: good-byes, hand-backs, a Redis that is slow. */
const STOP_SECONDS = 15;

const RENDERED = join(FOLDER, 'rendered');

const tool = renderer();
it.skipIf(tool === null).each(OVERLAYS)(
  '%s is rendered as it is written (by kustomize or kubectl; vitest -u writes it)',
  async (overlay) => {
    if (tool === null) throw new Error('Install kustomize or kubectl');
    await expect(render(overlay, tool)).toMatchFileSnapshot(join(RENDERED, `${overlay}.yaml`));
  },
);

it('has not changed since it was rendered', async () => {
  const file = join(RENDERED, 'sources.sha256');
  if (tool !== null) return expect(digestOfSources()).toMatchFileSnapshot(file);
  // Whoever has no tool renders nothing anew.
  expect(
    readFileSync(file, 'utf8'),
    'deploy/kubernetes has changed: install kustomize or kubectl',
  ).toBe(digestOfSources());
});

describe.each(OVERLAYS)('the overlay %s', (overlay) => {
  const objects = rendered(overlay);
  const workloads = workloadsOf(objects);
  const workers = workloads.filter(({ name }) => name.startsWith('worker-'));

  it('is scraped only where a pod runs: one that loads its model answers nobody yet', () => {
    const monitors = ofKind(objects, 'PodMonitor');
    expect(monitors).toHaveLength(overlay === 'gpu' ? 2 : 0);
    const phase = ['__meta_kubernetes_pod_phase'];
    for (const { spec } of monitors) {
      expect(spec).toMatchObject({
        podMetricsEndpoints: [
          {
            relabelings: expect.arrayContaining([
              { sourceLabels: phase, regex: 'Running', action: 'keep' },
            ]),
          },
        ],
      });
    }
  });

  it('satisfies the schemas of its kinds', () => {
    expect(objects.flatMap((object) => schemaProblem(object) ?? [])).toEqual([]);
  });

  it('lies in one namespace, which holds it to the restricted standard', () => {
    const others = objects.filter(({ kind }) => kind !== 'Namespace');
    expect(new Set(others.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['qarr']));
    expect(objectNamed(objects, 'Namespace', 'qarr').metadata.labels).toMatchObject({
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
  });

  it.each(workloads)('lets $name do no more than it must', ({ pod, containers }) => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(pod.securityContext?.runAsUser).toBeGreaterThan(0);
    objectNamed(objects, 'ServiceAccount', pod.serviceAccountName);
    for (const container of containers) {
      expect(container.securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.securityContext?.runAsUser).not.toBe(0);
      expect(container.image).toMatch(/:v?\d+\.\d+\.\d+/);
      expect(container.resources).toMatchObject({
        requests: { cpu: expect.anything(), memory: expect.anything() },
        limits: { memory: expect.anything() },
      });
    }
  });

  it.each(workloads)('probes $name at ports that there are', ({ containers }) => {
    for (const container of containers) {
      expect(container.startupProbe).toBeDefined();
      expect(container.livenessProbe).toBeDefined();
      for (const probe of [
        container.startupProbe,
        container.readinessProbe,
        container.livenessProbe,
      ]) {
        if (probe?.httpGet === undefined) continue;
        expect(container.ports?.map(({ name }) => name)).toContain(probe.httpGet.port);
      }
    }
  });

  it('kills no API for having as many clients as it may, and sends it no more', () => {
    const [api] = workload(objects, 'api').containers;
    expect(api?.livenessProbe?.httpGet?.port).toBe('ops');
    expect(api?.readinessProbe?.httpGet).toEqual({ path: '/healthz', port: 'http' });
  });

  it('refers to volumes, accounts, settings and secrets that there are', () => {
    for (const { pod, claims, containers } of workloads) {
      for (const { configMap, secret, persistentVolumeClaim: claim } of pod.volumes ?? []) {
        if (configMap) objectNamed(objects, 'ConfigMap', configMap.name);
        if (claim) objectNamed(objects, 'PersistentVolumeClaim', claim.claimName);
        if (!secret) continue;
        const { data } = objectNamed(objects, 'Secret', secret.secretName);
        for (const { key } of secret.items ?? []) expect(data).toHaveProperty(key);
      }
      const volumes = [...(pod.volumes ?? []).map(({ name }) => name), ...claims];
      for (const container of containers) {
        for (const { name } of container.volumeMounts ?? []) expect(volumes).toContain(name);
        environmentOf(container, objects);
      }
    }
  });

  it('gives each process variables that it knows and takes', () => {
    const known = Object.values(SCHEMAS).flatMap((schema) => Object.keys(schema.shape));
    for (const { labels, containers } of workloads) {
      const component = labels['app.kubernetes.io/component'] ?? '';
      if (!OURS.includes(component)) continue;
      const container = containers.find(({ name }) => name === component);
      if (container === undefined) throw new Error(`There is no container ${component}`);
      const environment = environmentOf(container, objects);
      const names = Object.keys(environment).filter((name) => !NOT_OURS.includes(name));
      expect(names.filter((name) => !known.includes(name))).toEqual([]);
      const parsed = SCHEMAS[component as keyof typeof SCHEMAS].safeParse(environment);
      expect(parsed.error?.issues ?? []).toEqual([]);
      expect(environment).toMatchObject({
        OPS_HOST: '0.0.0.0',
        REDIS_URL: expect.stringMatching(/^rediss?:/),
      });
      // The file that the API is told of is one that it has.
      const file = environment['QARR_CONFIG'];
      expect(container.volumeMounts?.some(({ mountPath }) => file?.startsWith(mountPath))).toBe(
        true,
      );
    }
  });

  it.each(workloads.filter(({ name }) => name !== 'redis'))(
    'leaves $name the time to drain',
    ({ pod, containers }) => {
      const drainMs = Number(environmentOf(containers.at(-1)!, objects)['QARR_DRAIN_MS']);
      expect(drainMs).toBeGreaterThan(0);
      const preStop = Math.max(
        ...containers.map(({ lifecycle }) => lifecycle?.preStop?.sleep?.seconds ?? 0),
      );
      const [engine] = pod.initContainers ?? [];
      const engineSeconds = /--shutdown-timeout=(\d+)/.exec(engine?.args?.join(' ') ?? '')?.[1];
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(
        preStop + drainMs / 1_000 + STOP_SECONDS + Number(engineSeconds ?? 0),
      );
    },
  );

  it('has a worker for each tier of the configuration, with an engine that has its window', () => {
    const config = workload(objects, 'api').pod.volumes?.find(({ name }) => name === 'config');
    const { data } = objectNamed(objects, 'ConfigMap', config?.configMap?.name);
    const { tiers } = createDeployment(parse(data?.['qarr.config.yaml'] ?? ''));
    expect(new Set(workers.map(({ labels }) => labels['qarr/tier']))).toEqual(
      new Set(tiers.map(({ name }) => name)),
    );
    expect(workers.length).toBe(tiers.length);
    for (const { labels, pod } of workers) {
      const tier = tiers.find(({ name }) => name === labels['qarr/tier']);
      const [engine] = pod.initContainers ?? [];
      expect(engine?.args).toContain(`--max-model-len=${tier?.max_model_len}`);
    }
  });

  it.each(workers)('starts the engine of $name before it, ends it after it', ({ pod }) => {
    const [engine] = pod.initContainers ?? [];
    const [worker] = pod.containers;
    expect(engine).toMatchObject({ restartPolicy: 'Always', startupProbe: expect.anything() });
    // It would run before the worker has ended.
    expect(engine?.lifecycle).toBeUndefined();
    // Engines of a tier are told apart by their URLs.
    const upstream = new URL(environmentOf(worker!, objects)['QARR_UPSTREAM_URL'] ?? '');
    expect(upstream.hostname).toBe('10.1.2.3');
    const ports = engine?.ports?.map(({ name, containerPort }) => [name, String(containerPort)]);
    expect(ports).toEqual([['engine', upstream.port]]);
    expect(worker?.args).toEqual(['--tier', '$(TIER)']);
  });

  it('waits for a roll-out longer than an engine may take to start', () => {
    for (const { metadata, spec } of ofKind(objects, 'Deployment')) {
      const { containers } = workload(objects, metadata.name);
      const startSeconds = containers.map(
        ({ startupProbe: probe }) => (probe?.periodSeconds ?? 10) * (probe?.failureThreshold ?? 3),
      );
      // Kubernetes waits for 600 s where nothing is said.
      expect(spec.progressDeadlineSeconds ?? 600).toBeGreaterThan(
        startSeconds.reduce((total, seconds) => total + seconds),
      );
    }
  });

  it('selects by labels exactly what is meant', () => {
    for (const { kind, metadata, spec } of objects) {
      const selector =
        kind === 'Service' ? { matchLabels: spec.selector } : (spec?.selector ?? spec?.podSelector);
      if (selector === undefined || kind === 'PersistentVolumeClaim') continue;
      const selected = workloads.filter(({ labels }) => selects(selector, labels));
      const isOf = ['Deployment', 'StatefulSet', 'Service', 'PodDisruptionBudget'].includes(kind);
      if (isOf) expect(selected.map(({ name }) => name)).toEqual([metadata.name]);
      else expect(selected).not.toEqual([]);
      const ports = selected.flatMap(({ containers }) => containers.flatMap((c) => c.ports ?? []));
      const named = [...(spec.ports ?? []), ...(spec.podMetricsEndpoints ?? [])];
      for (const { targetPort, port } of named) {
        expect(ports.map(({ name }) => name)).toContain(targetPort ?? port);
      }
    }
  });

  it('scales each workload in one way, and lets one of its pods be moved', () => {
    const scalers = objects.filter(({ spec }) => spec?.scaleTargetRef !== undefined);
    const targets = scalers.map(({ spec }) => spec.scaleTargetRef.name as string);
    expect(new Set(targets).size).toBe(targets.length);
    // What a scaler sets must not be set again by whoever applies the files.
    for (const name of targets) expect(workload(objects, name).replicas).toBeUndefined();
    for (const { labels, name } of workloads.filter((each) => each.name !== 'redis')) {
      const budgets = ofKind(objects, 'PodDisruptionBudget').filter(({ spec }) =>
        selects(spec.selector, labels),
      );
      expect([name, budgets.map(({ spec }) => spec.maxUnavailable)]).toEqual([name, [1]]);
    }
    for (const { spec } of ofKind(objects, 'ScaledObject')) {
      expect(spec.minReplicaCount).toBeGreaterThan(0);
      expect(spec.maxReplicaCount).toBeGreaterThan(spec.minReplicaCount);
      // Nobody who tells is not nothing to do.
      expect(spec.triggers[0].metadata.ignoreNullValues).toBe('false');
      expect(spec.fallback.behavior).toBe('currentReplicasIfHigher');
      const tier = spec.scaleTargetRef.name.replace('worker-', '');
      expect(spec.triggers[0].metadata.query.match(/tier="[^"]*"/g)).toEqual(
        Array(2).fill(`tier="${tier}"`),
      );
    }
  });
});

it('knows a Redis that keeps what it has accepted', () => {
  const { containers } = workload(rendered('simulated'), 'redis');
  const args = containers[0]?.args?.join(' ');
  expect(args).toContain('--appendonly yes');
  expect(args).toContain('--maxmemory-policy noeviction');
  // The rest of the limit is for rewriting the AOF.
  expect(args).toContain('--maxmemory 1gb');
  expect(containers[0]?.resources?.limits).toMatchObject({ memory: '2Gi' });
});
