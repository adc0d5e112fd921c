import { expect, it } from 'vitest';
import { acceptWebhook } from './accept-webhook.ts';

const CONFIG = { keys: [Buffer.alloc(32)], ports: [443], allowPrivate: false };

it('is undefined where nothing is asked for', () => {
  expect(acceptWebhook({}, { ...CONFIG, keys: [] })).toBeUndefined();
});

it('is the URL as it is called, and the ends that are told: by default all', () => {
  expect(acceptWebhook({ webhook_url: 'https://EXAMPLE.com/a b#c' }, CONFIG)).toEqual({
    url: 'https://example.com/a%20b',
    events: ['completed', 'failed', 'cancelled', 'expired'],
  });
});

it('is refused where no secret is set, with what to set', () => {
  expect(() =>
    acceptWebhook({ webhook_url: 'https://example.com/' }, { ...CONFIG, keys: [] }),
  ).toThrow(
    expect.objectContaining({
      code: 'unsupported_parameter',
      param: 'webhook_url',
      message: 'webhook_url is not offered here: its operator has not set QARR_WEBHOOK_SECRETS.',
    }),
  );
});

it('is refused where it may not be called, with the reason', () => {
  expect(() => acceptWebhook({ webhook_url: 'https://127.0.0.1/' }, CONFIG)).toThrow(
    expect.objectContaining({
      code: 'invalid_request',
      param: 'webhook_url',
      message: 'webhook_url must not lead to a private address.',
    }),
  );
});
