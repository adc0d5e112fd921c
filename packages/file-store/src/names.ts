/** Names of objects: a few segments that mean nothing to a file system. */

const SEGMENTS_MAX = 4;
/** A segment never begins with a dot, so that none is `..`, and none is a file of the store's own. */
const SEGMENT = /^[\w-][\w.-]{0,127}$/;

/** Names are ours, made of ids: a wrong one is a mistake, never a client's. */
export function checkName(name: string): void {
  const segments = name.split('/');
  if (segments.length > SEGMENTS_MAX || !segments.every((segment) => SEGMENT.test(segment))) {
    throw new TypeError(`Not the name of an object: ${JSON.stringify(name.slice(0, 200))}`);
  }
}

/** A prefix is the beginning of a name; it may end anywhere in it, and be empty. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '') checkName(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
}
