/** `--workers fast=3 --workers balanced=2`, or `fast=3,balanced=2`: how many workers a tier gets. */
import { badValue } from './cli-error.ts';

/** More processes than this on one machine is a mistake, not a wish. */
export const WORKERS_MAX = 16;

/** By the names of tiers. Throws a CliError of one line that says what is allowed. */
export function readWorkerCounts(given: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of given.flatMap((list) => list.split(','))) {
    const [, tier, digits] = /^\s*([^=\s]+)=(\d{1,6})\s*$/.exec(item) ?? [];
    const count = Number(digits);
    if (tier === undefined || count < 1 || count > WORKERS_MAX) {
      throw badValue(
        `--workers must be tiers with 1 to ${WORKERS_MAX} workers, such as fast=3,balanced=2 (it has "${item.trim()}")`,
      );
    }
    if (counts.has(tier)) throw badValue(`--workers must name ${tier} once`);
    counts.set(tier, count);
  }
  return counts;
}
