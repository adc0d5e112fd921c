import Fastify from 'fastify';
import { expect, it, onTestFinished } from 'vitest';
import { guardRoutes } from './guard.ts';

it('a route that does not say who may use it does not come to be', () => {
  const app = Fastify();
  onTestFinished(() => app.close());
  const store = { countRequest: () => Promise.reject(new Error('not used')) };
  guardRoutes(app, { keys: null, store });
  app.get('/said', { config: { access: 'public' } }, async () => ({}));
  expect(() => app.get('/not-said', async () => ({}))).toThrow(
    /\/not-said does not say who may use it/,
  );
});
