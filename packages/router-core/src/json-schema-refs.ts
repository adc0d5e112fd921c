/** Where the references of a JSON schema lead: to schemas within it, and never in a circle. */

/** A value's place in the schema, from the inside out. */
export interface Place {
  readonly parent: Place | null;
  readonly key: string;
}

/** What reading a schema has found. */
export interface SchemaGraph {
  readonly root: object;
  /** Every schema in it, with those within that are for the same value. */
  readonly inPlace: Map<object, object[]>;
  readonly refs: { readonly from: object; readonly to: string; readonly place: Place }[];
}

/**
 * The first reference that leads elsewhere than to a schema, or that closes a circle in which
 * nothing of the value is consumed. A tree that refers to itself for its children is fine.
 */
export function refProblem({
  root,
  inPlace,
  refs,
}: SchemaGraph): { place: Place; message: string } | null {
  for (const { from, to, place } of refs) {
    const target = resolve(root, to);
    if (target === null || !inPlace.has(target)) {
      return { place, message: 'must lead to a schema within this one: #/…' };
    }
    inPlace.get(from)?.push(target);
  }
  const [last] = refs.slice(-1);
  if (last === undefined || !hasCircle(inPlace)) return null;
  return { place: last.place, message: 'must not lead back to where it stands' };
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Follows a JSON pointer in a URI fragment (RFC 6901, section 6). */
function resolve(root: object, ref: string): object | null {
  if (ref === '#') return root;
  if (!ref.startsWith('#/')) return null;
  let value: unknown = root;
  for (const part of ref.slice('#/'.length).split('/')) {
    const key = decode(part);
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return null;
    value = (value as Record<string, unknown>)[key];
  }
  return isObject(value) ? value : null;
}

function decode(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // Not percent-encoded: the name as it is.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** Takes away what nothing leads to, again and again: what stays is in a circle. */
function hasCircle(edges: ReadonlyMap<object, readonly object[]>): boolean {
  const incoming = new Map<object, number>();
  for (const targets of edges.values()) {
    for (const target of targets) incoming.set(target, (incoming.get(target) ?? 0) + 1);
  }
  const free = [...edges.keys()].filter((schema) => !incoming.has(schema));
  let removed = 0;
  for (let schema = free.pop(); schema !== undefined; schema = free.pop()) {
    removed += 1;
    for (const target of edges.get(schema) ?? []) {
      const left = (incoming.get(target) ?? 0) - 1;
      incoming.set(target, left);
      if (left === 0) free.push(target);
    }
  }
  return removed < edges.size;
}
