/** What `kubectl apply -k` would send, as objects, and how to find one's way in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IContainer, IPodSpec } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';

export const FOLDER = join(import.meta.dirname, '../../deploy/kubernetes');
export const OVERLAYS = ['simulated', 'gpu'] as const;
export type Overlay = (typeof OVERLAYS)[number];

export type Labels = Readonly<Record<string, string>>;

/** The parts of an object that these tests look at; the rest is checked by its schema. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; labels?: Labels };
  readonly data?: Labels;
  // The schema of each kind has been asked before anything reads this.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly spec?: any;
}

/** A Deployment or a StatefulSet. */
export interface Workload {
  readonly name: string;
  readonly labels: Labels;
  readonly replicas: number | undefined;
  readonly pod: IPodSpec;
  /** Volumes that each of its pods is given. */
  readonly claims: readonly string[];
  /** The sidecars first. */
  readonly containers: readonly IContainer[];
}

export function rendered(overlay: Overlay): readonly KubeObject[] {
  return readObjects(readFileSync(join(FOLDER, 'rendered', `${overlay}.yaml`), 'utf8'));
}

/** Kubernetes reads YAML 1.1, where `yes` is true and 0440 is octal. */
export const YAML = { version: '1.1' } as const;

export function readObjects(text: string): readonly KubeObject[] {
  return parseAllDocuments(text, YAML).map((document) => {
    if ('errors' in document && document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as KubeObject;
  });
}

export function ofKind(objects: readonly KubeObject[], kind: string): readonly KubeObject[] {
  return objects.filter((object) => object.kind === kind);
}

export function workloadsOf(objects: readonly KubeObject[]): readonly Workload[] {
  return objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map(({ metadata, spec }) => {
      const pod = spec.template.spec as IPodSpec;
      return {
        name: metadata.name,
        labels: spec.template.metadata.labels as Labels,
        replicas: spec.replicas as number | undefined,
        pod,
        claims: ((spec.volumeClaimTemplates ?? []) as KubeObject[]).map(
          ({ metadata: { name } }) => name,
        ),
        containers: [...(pod.initContainers ?? []), ...pod.containers],
      };
    });
}

export function workload(objects: readonly KubeObject[], name: string): Workload {
  const found = workloadsOf(objects).find((each) => each.name === name);
  if (found === undefined) throw new Error(`There is no workload ${name}`);
  return found;
}

/** What a container's process finds in its environment, as far as files say it. */
export function environmentOf(
  container: IContainer,
  objects: readonly KubeObject[],
): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { configMapRef } of container.envFrom ?? []) {
    Object.assign(variables, objectNamed(objects, 'ConfigMap', configMapRef?.name).data);
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const { secretKeyRef: secret, fieldRef } = valueFrom ?? {};
    if (secret !== undefined) {
      const data = objectNamed(objects, 'Secret', secret.name).data ?? {};
      const text = data[secret.key];
      if (text === undefined && secret.optional !== true) {
        throw new Error(`${name}: the secret ${secret.name} has no ${secret.key}`);
      }
      if (text !== undefined) variables[name] = Buffer.from(text, 'base64').toString('utf8');
    } else if (fieldRef?.fieldPath === 'status.podIP') {
      variables[name] = '10.1.2.3';
    } else {
      const before = { ...variables };
      variables[name] = (value ?? '').replace(/\$\((\w+)\)/g, (_, other) => before[other] ?? '');
    }
  }
  return variables;
}

export function objectNamed(
  objects: readonly KubeObject[],
  kind: string,
  name: string | undefined,
): KubeObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`There is no ${kind} ${name}`);
  return found;
}

interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly { key: string; operator: string; values?: string[] }[];
}

export function selects(selector: Selector, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      if (operator !== 'In') throw new Error(`This test does not know the operator ${operator}`);
      return values.includes(labels[key] ?? '');
    })
  );
}
