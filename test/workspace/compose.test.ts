/** docker-compose.yml and the Dockerfile keep what deploy/compose/README.md says of them. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createDeployment } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { environmentSchema as apiSchema } from '../../apps/api/src/config.ts';
import { environmentSchema as runnerSchema } from '../../apps/api/src/batch-runner/config.ts';
import { toolSchema } from '../../apps/api/src/keys/config.ts';
import { parseConfig as parseSimulatorFlags } from '../../apps/vllm-sim/src/config.ts';
import { environmentSchema as workerSchema } from '../../apps/worker/src/config.ts';
import { ROOT, flagOf, networksOf, readComposeFile, readText } from './compose-file.ts';
import type { Service } from './compose-file.ts';

const { services, networks, volumes } = readComposeFile();
const { tiers } = createDeployment(parse(readText('deploy/compose/qarr.config.yaml')));
const named = Object.entries(services);
const ours = named.filter(([, { build }]) => build !== undefined);
const ENGINES = { sim: 'sim', gpu: 'vllm', cpu: 'cpu' };

/** The file that a service of ours runs, and what it reads of its environment. */
const SCHEMAS = {
  'apps/api/src/main.ts': apiSchema,
  'apps/api/src/batch-runner/main.ts': runnerSchema,
  'apps/api/src/keys/main.ts': toolSchema,
  'apps/worker/src/main.ts': workerSchema,
} as const;

describe('every container', () => {
  it.each(named)('%s is pinned, or built here', (_name, { image, build }) => {
    if (build === undefined) expect(image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+(-[\w-]+)?$/);
    else expect(image).toBe('qarr:local');
  });

  it.each(named)('%s may do no more than it must', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      pids_limit: expect.any(Number),
      cpus: expect.anything(),
      mem_limit: expect.stringMatching(/^\d+[mg]$/),
      logging: { options: { 'max-size': expect.any(String), 'max-file': expect.any(String) } },
    });
    expect(service.user).not.toMatch(/^(root|0)?(:|$)/);
    expect(service).not.toHaveProperty('privileged');
    expect(service).not.toHaveProperty('container_name');
    expect(service['network_mode'] ?? 'none').toBe('none');
  });

  it.each(named)('%s is looked after, unless it runs once', (_name, service) => {
    const { healthcheck, restart } = service;
    if (restart === 'no') expect(healthcheck).toEqual({ disable: true });
    else
      expect({ healthcheck, restart }).toMatchObject({
        restart: 'unless-stopped',
        healthcheck: { test: expect.anything() },
      });
  });

  it.each(named)('%s is open to this machine only', (_name, { ports = [] }) => {
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it.each(named)('%s mounts what is there', (_name, { volumes: mounts = [] }) => {
    const [files, kept] = [true, false].map((isFile) =>
      mounts.filter((mount) => mount.startsWith('./') === isFile),
    ) as [string[], string[]];
    expect(files.filter((mount) => !mount.endsWith(':ro'))).toEqual([]);
    expect(files.map(sourceOf).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect(kept.map(sourceOf).filter((name) => !(name in volumes))).toEqual([]);
  });
});

describe('our containers', () => {
  it.each(ours)('%s reads every variable that it is given', (_name, service) => {
    const [file = ''] = filesOf(service);
    expect(existsSync(join(ROOT, file))).toBe(true);
    const schema = file in SCHEMAS ? SCHEMAS[file as keyof typeof SCHEMAS] : null;
    const { environment = {} } = service;
    const unknown = Object.keys(environment).filter((name) => !(name in (schema?.shape ?? {})));
    expect(unknown).toEqual([]);
    expect(schema?.safeParse(environment).error).toBeUndefined();
  });

  it.each(ours)('%s has longer to end than it drains', (_name, { stop_grace_period: grace }) => {
    expect(secondsOf(grace)).toBeGreaterThan(apiSchema.parse({}).QARR_DRAIN_MS / 1_000 + 10);
  });

  it('run the Node of the lockfile, without root, told by exec', () => {
    const dockerfile = readText('Dockerfile');
    const { devDependencies } = JSON.parse(readText('package.json'));
    const base = `node:${devDependencies.node}-slim`;
    expect(dockerfile).toContain(`ARG BASE_IMAGE=${base}\n`);
    for (const [, { build }] of ours) expect(build?.args).toEqual({ BASE_IMAGE: base });
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
    expect(last).toMatch(/^USER 10001:10001$/m);
    expect(last).not.toMatch(/^RUN (npx|npm|apt-get|curl)|&& (npx|npm|apt-get|curl) /m);
    expect(last).toMatch(/^ENTRYPOINT \["node"\]\nCMD \["apps\/api\/src\/main.ts"\]$/m);
  });
});

describe('networks', () => {
  it('let nobody to Redis but those who work with it', () => {
    expect(networks).toMatchObject({ store: { internal: true }, monitoring: { internal: true } });
    expect([...networksOf(services['redis'] as Service).keys()]).toEqual(['store']);
    const neighbours = named.filter(([, service]) => networksOf(service).has('store'));
    expect(
      neighbours
        .map(([name]) => name)
        .filter((name) => !/^(api|batch-runner|keys|redis|worker-\w+)$/.test(name)),
    ).toEqual([]);
  });
});

describe.each(tiers)('the tier $name', ({ name: tier, max_model_len }) => {
  const worker = services[`worker-${tier}`] as Service;

  it.each(Object.entries(ENGINES))('has an engine in the profile %s', (profile, prefix) => {
    const engine = services[`${prefix}-${tier}`] as Service;
    expect(engine.profiles).toEqual([profile]);
    expect(flagOf(engine, '--max-model-len')).toBe(String(max_model_len));
    for (const network of ['engines', 'monitoring']) {
      expect(networksOf(engine).get(network)).toEqual([`engine-${tier}`]);
    }
    // Stopped after its worker, and not waited for: it may take minutes to load.
    expect(worker.depends_on).toHaveProperty(`${prefix}-${tier}`, {
      condition: 'service_started',
      required: false,
    });
    if (profile === 'sim') {
      expect(parseSimulatorFlags(engine.command?.slice(1) ?? [])).toHaveProperty('kind', 'config');
      return;
    }
    expect(secondsOf(engine.stop_grace_period)).toBeGreaterThan(
      Number(flagOf(engine, '--shutdown-timeout')) + 10,
    );
  });

  it('has a worker that asks it', () => {
    expect(flagOf(worker, '--tier')).toBe(tier);
    expect(worker.environment).toHaveProperty('QARR_UPSTREAM_URL', `http://engine-${tier}:8000`);
    expect(worker.ports).toBeUndefined();
  });

  it('has a GPU of its own', () => {
    const gpus = tiers.map(({ name }) => JSON.stringify(services[`vllm-${name}`]?.['deploy']));
    expect(new Set(gpus).size).toBe(tiers.length);
  });
});

it('starts the simulators where nothing else is said', () => {
  expect(readText('.env')).toMatch(/^COMPOSE_PROFILES=sim$/m);
});

const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0;
it.skipIf(!hasCompose).each(Object.keys(ENGINES))(
  'is understood by docker compose with the profile %s',
  (profile) => {
    const args = ['compose', '--profile', profile, 'config', '--quiet'];
    const { status, stderr } = spawnSync('docker', args, { cwd: ROOT, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  },
);

/** The files of ours that its command line names, in which Node runs the first one. */
function filesOf({ entrypoint = [], command = ['apps/api/src/main.ts'] }: Service): string[] {
  return [...entrypoint, ...command].filter((word) => /\.m?[jt]s$/.test(word));
}

function sourceOf(mount: string): string {
  return mount.split(':', 1)[0] ?? '';
}

function secondsOf(duration = '10s'): number {
  const [, count, unit] = /^(\d+)([sm])$/.exec(duration) ?? [];
  return Number(count) * (unit === 'm' ? 60 : 1);
}
