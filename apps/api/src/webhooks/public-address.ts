/**
 * Which addresses are the public internet's. Everything else may be a machine of ours, or lead to
 * one: private and shared nets, this host, link-local ones with the metadata of clouds, and the
 * ranges of IPv6 in which an IPv4 address is hidden (mapped, NAT64, 6to4, Teredo).
 *
 * The ranges are those of ipaddr.js, which follows the registries of IANA; `node:net` has a list to
 * put ranges in, but no ranges.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** What IANA gives out to the public; all of IPv6 beside it is special or not in use. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
/** Public by its number, but within Azure the address of the platform itself. */
const NOT_PUBLIC = new Set(['168.63.129.16']);

export function isPublicAddress(address: string): boolean {
  // Stricter than ipaddr.js, which also reads octal and shortened ones.
  if (isIP(address) === 0 || NOT_PUBLIC.has(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_UNICAST);
}
