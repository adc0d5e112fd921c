/**
 * Which URLs may be called at all, by what stands in them. What their host resolves to is looked at
 * in each delivery, because it may be another address every time.
 */
import { isIP } from 'node:net';
import { isPublicAddress } from './public-address.ts';
import type { WebhookConfig } from './webhook-config.ts';

export type UrlPolicy = Pick<WebhookConfig, 'ports' | 'allowPrivate'>;
export type CheckedUrl = { kind: 'allowed'; url: URL } | { kind: 'refused'; reason: string };

/** Names that mean this machine, or one of the local net, whatever a DNS server says (RFC 6761). */
const LOCAL_NAME = /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/;

export function checkWebhookUrl(text: string, { ports, allowPrivate }: UrlPolicy): CheckedUrl {
  if (!URL.canParse(text)) return refused('must be an absolute URL');
  const url = new URL(text);
  // It is not sent, and would be stored.
  url.hash = '';
  const isHttps = url.protocol === 'https:';
  if (!isHttps && !(allowPrivate && url.protocol === 'http:')) return refused('must be https');
  if (url.username !== '' || url.password !== '') {
    return refused('must not hold a user or a password');
  }
  if (allowPrivate) return { kind: 'allowed', url };

  if (!ports.includes(url.port === '' ? 443 : Number(url.port))) {
    return refused(`must have the port ${ports.join(' or ')}`);
  }
  const host = hostOf(url);
  if (isIP(host) !== 0) {
    if (!isPublicAddress(host)) return refused('must not lead to a private address');
  } else if (!host.includes('.') || host.endsWith('.') || LOCAL_NAME.test(host)) {
    return refused('must name a public host');
  }
  return { kind: 'allowed', url };
}

/** The name or address as it is looked up: an IPv6 address without its brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

function refused(reason: string): CheckedUrl {
  return { kind: 'refused', reason };
}
