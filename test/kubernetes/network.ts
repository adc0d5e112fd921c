/** Who reaches whom, as NetworkPolicies say it: both ends must allow a connection. */
import { BlockList, isIPv4 } from 'node:net';
import { ofKind, selects } from './objects.ts';
import type { KubeObject, Labels, Workload } from './objects.ts';

/** A pod of ours, a pod of another namespace, or an address. */
export type End = Workload | { readonly namespace: string } | { readonly address: string };

export interface Connection {
  readonly from: End;
  readonly to: End;
  readonly port: number;
  readonly protocol?: 'TCP' | 'UDP';
}

interface Peer {
  readonly podSelector?: Parameters<typeof selects>[0];
  readonly namespaceSelector?: Parameters<typeof selects>[0];
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

interface Port {
  readonly port: number | string;
  readonly endPort?: number;
  readonly protocol?: string;
}

interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly Port[];
}

export function isAllowed(objects: readonly KubeObject[], connection: Connection): boolean {
  const { from, to } = connection;
  return (
    passes(objects, { ...connection, own: from, other: to, direction: 'Egress' }) &&
    passes(objects, { ...connection, own: to, other: from, direction: 'Ingress' })
  );
}

type Side = Connection & { own: End; other: End; direction: 'Ingress' | 'Egress' };

/** Of ends that are not ours nothing is known: they allow all. A pod without a policy does so, too. */
function passes(objects: readonly KubeObject[], side: Side): boolean {
  const { own, other, direction } = side;
  if (!('labels' in own)) return true;
  const policies = ofKind(objects, 'NetworkPolicy').filter(
    ({ spec }) => spec.policyTypes.includes(direction) && selects(spec.podSelector, own.labels),
  );
  if (policies.length === 0) return true;
  const rules: Rule[] = policies.flatMap(
    ({ spec }) => (direction === 'Ingress' ? spec.ingress : spec.egress) ?? [],
  );
  return rules.some(({ from, to, ports }) => {
    const peers = direction === 'Ingress' ? from : to;
    return (
      (peers === undefined || peers.some((peer) => isPeer(peer, other))) &&
      (ports === undefined || ports.some((port) => isPort(port, side)))
    );
  });
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: Peer, end: End): boolean {
  if ('address' in end) return ipBlock !== undefined && contains(ipBlock, end.address);
  if ('labels' in end) {
    return (
      podSelector !== undefined &&
      namespaceSelector === undefined &&
      selects(podSelector, end.labels)
    );
  }
  const labels: Labels = { 'kubernetes.io/metadata.name': end.namespace };
  return namespaceSelector !== undefined && selects(namespaceSelector, labels);
}

function contains(
  { cidr, except = [] }: { cidr: string; except?: readonly string[] },
  address: string,
): boolean {
  const within = (range: string) => {
    const [network = '', bits] = range.split('/');
    if (!isIPv4(network)) throw new Error(`This test does not know ${range}`);
    const list = new BlockList();
    list.addSubnet(network, Number(bits));
    return list.check(address);
  };
  return within(cidr) && !except.some(within);
}

/** A name is that of a port of the pod that is connected to. */
function isPort({ port, endPort, protocol }: Port, side: Side): boolean {
  if ((protocol ?? 'TCP') !== (side.protocol ?? 'TCP')) return false;
  if (typeof port === 'string') return namedPort(side.to, port) === side.port;
  return side.port >= port && side.port <= (endPort ?? port);
}

function namedPort(end: End, name: string): number | undefined {
  if (!('labels' in end)) return undefined;
  const ports = end.containers.flatMap((container) => container.ports ?? []);
  return ports.find((port) => port.name === name)?.containerPort;
}
