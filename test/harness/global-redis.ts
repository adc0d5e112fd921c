import type { TestProject } from 'vitest/node';
import { acquireRedis } from './redis-server.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    redisUrl: string;
  }
}

/** One Redis for all files of a project; each test takes key names of its own. */
export default async function setup(project: TestProject) {
  const server = await acquireRedis();
  project.provide('redisUrl', server.url);
  return () => server.stop();
}
