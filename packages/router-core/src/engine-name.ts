/**
 * What the processes of a tier call an engine among each other.
 *
 * A worker and its engine that share a pod speak over the loopback address, which is the same in each
 * pod and another engine in each. So that one's failures are not another's, it is told apart by the host.
 */

/** In the ways in which it may be written; what means every address leads there, too. */
const LOOPBACK =
  /^https?:\/\/(?:(?:[\w.-]+\.)?localhost\.?|127(?:\.\d{1,3}){1,3}|0\.0\.0\.0|\[::1?\]|\[::ffff:(?:127(?:\.\d{1,3}){3}|0\.0\.0\.0|7f[\da-f]{2}:[\da-f]{1,4}|0:0)\])(?=[:/]|$)/i;

/** @param options.host of the worker that knows it by this URL */
export function engineName(url: string, { host }: { host: string }): string {
  return isLoopback(url) ? `${url}@${host}` : url;
}

export function isLoopback(url: string): boolean {
  return LOOPBACK.test(url);
}
