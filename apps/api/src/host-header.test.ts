import { describe, expect, it } from 'vitest';
import { checkHost } from './host-header.ts';

function check(hosts: string[], { isOpen = true, httpVersion = '1.1' } = {}): string {
  try {
    const headersDistinct = hosts.length === 0 ? {} : { host: hosts };
    checkHost({ headersDistinct, httpVersion }, { isOpen });
    return 'fine';
  } catch (error) {
    return (error as Error).message;
  }
}

const REBOUND =
  'The host header must be localhost or an address where no keys are configured (QARR_KEY_SECRETS).';

describe('the host header', () => {
  it.each([
    'localhost',
    'LOCALHOST:8080',
    'qarr.localhost',
    '127.0.0.1:8080',
    '10.0.0.7',
    '[::1]:8080',
    '[::1]',
    '',
  ])('may be %j without keys', (host) => {
    expect(check([host])).toBe('fine');
  });

  it.each(['attacker.example:8080', 'localhost.attacker.example', 'qarr', '127.0.0.1.nip.example'])(
    'may be %j with keys only',
    (host) => {
      expect(check([host])).toBe(REBOUND);
      expect(check([host], { isOpen: false })).toBe('fine');
    },
  );

  it('must be given once, in a form that fits into a URL', () => {
    expect(check([])).toBe('The host header is missing.');
    expect(check([], { httpVersion: '1.0' })).toBe('fine');
    expect(check(['localhost', 'localhost'])).toBe('The host header must be given once.');
    expect(check(['localhost/"'], { isOpen: false })).toBe('The host header is malformed.');
  });
});
