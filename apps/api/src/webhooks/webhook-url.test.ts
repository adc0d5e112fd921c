import { describe, expect, it } from 'vitest';
import { checkWebhookUrl, hostOf } from './webhook-url.ts';

const POLICY = { ports: [443, 8443], allowPrivate: false };
const PRIVATE = 'must not lead to a private address';
const LOCAL = 'must name a public host';
const PORT = 'must have the port 443 or 8443';
const HTTPS = 'must be https';
const USER = 'must not hold a user or a password';
const URL_ERROR = 'must be an absolute URL';

const reasonOf = (text: string, policy = POLICY) => {
  const checked = checkWebhookUrl(text, policy);
  return checked.kind === 'refused' ? checked.reason : null;
};

describe('a URL that is refused by what stands in it', () => {
  it.each([
    // Not a URL
    ['', URL_ERROR],
    ['hook', URL_ERROR],
    ['//example.com/hook', URL_ERROR],
    ['https://', URL_ERROR],
    ['https://[::1', URL_ERROR],
    ['https://exa mple.com/', URL_ERROR],
    ['https://256.1.1.1/', URL_ERROR],
    ['https://example.com:99999/', URL_ERROR],
    ['https://%00.example.com/', URL_ERROR],
    // Schemes
    ['http://example.com/', HTTPS],
    ['ftp://example.com/', HTTPS],
    ['file:///etc/passwd', HTTPS],
    ['gopher://example.com:443/', HTTPS],
    ['javascript:alert(1)', HTTPS],
    ['data:,x', HTTPS],
    ['ws://example.com/', HTTPS],
    ['redis://example.com/', HTTPS],
    ['unix:/var/run/docker.sock', HTTPS],
    // Ports
    ['https://example.com:80/', PORT],
    ['https://example.com:22/', PORT],
    ['https://example.com:6379/', PORT],
    ['https://example.com:0/', PORT],
    ['https://example.com:8444/', PORT],
    ['https://10.0.0.1:9200/', PORT],
    // Users
    ['https://user@example.com/', USER],
    ['https://user:password@example.com/', USER],
    ['https://:password@example.com/', USER],
    ['https://example.com@127.0.0.1/', USER],
    ['https://127.0.0.1:443@example.com/', USER],
    ['https://a%40b@example.com/', USER],
    // IPv4, in all ways to write it
    ['https://127.0.0.1/', PRIVATE],
    ['https://127.1/', PRIVATE],
    ['https://127.0.1/', PRIVATE],
    ['https://2130706433/', PRIVATE],
    ['https://0x7f000001/', PRIVATE],
    ['https://017700000001/', PRIVATE],
    ['https://0177.0.0.1/', PRIVATE],
    ['https://0x7f.0.0.1/', PRIVATE],
    ['https://0/', PRIVATE],
    ['https://0.0.0.0/', PRIVATE],
    ['https://127.0.0.1./', PRIVATE],
    ['https://10.1/', PRIVATE],
    ['https://192.168.1.1/', PRIVATE],
    ['https://172.16.0.1/', PRIVATE],
    ['https://100.64.0.1/', PRIVATE],
    ['https://169.254.169.254/latest/meta-data/', PRIVATE],
    ['https://2852039166/', PRIVATE],
    ['https://１２７.０.０.１/', PRIVATE],
    ['https://①②⑦.⓪.⓪.①/', PRIVATE],
    ['https://127。0。0。1/', PRIVATE],
    ['https://%31%32%37.0.0.1/', PRIVATE],
    ['https:\\\\127.0.0.1\\', PRIVATE],
    ['https:127.0.0.1', PRIVATE],
    ['https://127.0.0.1\t/', PRIVATE],
    ['https://example.com\\@127.0.0.1/', null],
    // IPv6
    ['https://[::1]/', PRIVATE],
    ['https://[::]/', PRIVATE],
    ['https://[::ffff:127.0.0.1]/', PRIVATE],
    ['https://[::ffff:7f00:1]/', PRIVATE],
    ['https://[0:0:0:0:0:ffff:a9fe:a9fe]/', PRIVATE],
    ['https://[64:ff9b::7f00:1]/', PRIVATE],
    ['https://[2002:7f00:1::]/', PRIVATE],
    ['https://[fd00:ec2::254]/', PRIVATE],
    ['https://[fe80::1]/', PRIVATE],
    ['https://[::127.0.0.1]/', PRIVATE],
    // Names
    ['https://localhost/', LOCAL],
    ['https://LOCALHOST/', LOCAL],
    ['https://localhost./', LOCAL],
    ['https://ｌｏｃａｌｈｏｓｔ/', LOCAL],
    ['https://a.localhost/', LOCAL],
    ['https://redis/', LOCAL],
    ['https://printer.local/', LOCAL],
    ['https://metadata.google.internal/', LOCAL],
    ['https://router.home.arpa/', LOCAL],
    ['https://example.com./', LOCAL],
    ['https://kubernetes.default.svc./', LOCAL],
  ] as const)('%s', (text, reason) => {
    expect(reasonOf(text)).toBe(reason);
  });
});

describe('a URL that may be called', () => {
  it.each([
    ['https://example.com/hook?token=a%20b#part', 'https://example.com/hook?token=a%20b'],
    ['https://example.com:443/', 'https://example.com/'],
    ['https://example.com:8443/', 'https://example.com:8443/'],
    ['https://münchen.example/', 'https://xn--mnchen-3ya.example/'],
    ['https://8.8.8.8/', 'https://8.8.8.8/'],
    ['https://[2606:4700::1111]/', 'https://[2606:4700::1111]/'],
    ['https://internal.example.com/', 'https://internal.example.com/'],
    ['https://mylocalhost.example/', 'https://mylocalhost.example/'],
  ])('%s', (text, href) => {
    expect(checkWebhookUrl(text, POLICY)).toMatchObject({ kind: 'allowed', url: { href } });
  });
});

describe('where private addresses are allowed', () => {
  const policy = { ...POLICY, allowPrivate: true };

  it.each(['http://127.0.0.1:3000/', 'http://localhost/', 'https://[::1]:9/', 'https://redis:22/'])(
    '%s may be called',
    (text) => {
      expect(reasonOf(text, policy)).toBeNull();
    },
  );

  it.each([
    ['ftp://127.0.0.1/', HTTPS],
    ['http://user@127.0.0.1/', USER],
  ])('%s may not', (text, reason) => {
    expect(reasonOf(text, policy)).toBe(reason);
  });
});

it('is looked up without brackets', () => {
  expect(hostOf(new URL('https://[::1]:443/'))).toBe('::1');
});
