/** On whose behalf a request comes, and what its route asks of it. */
import { SCOPES } from '@qarr/router-core';
import type { JobClass, Scope } from '@qarr/router-core';

/** What a route asks of its caller: nothing, any key at all, or a key with this scope. */
type Access = 'public' | 'any' | Scope;

export interface Caller {
  /** Whose jobs it makes, and sees. */
  readonly owner: string;
  /** Null where no key is asked for. */
  readonly keyId: string | null;
  readonly scopes: ReadonlySet<Scope>;
  /** The highest class that its jobs may have. */
  readonly maxClass: JobClass;
}

/** Where no keys are configured, everybody is the same owner. */
export const ANYBODY: Caller = {
  owner: 'anonymous',
  keyId: null,
  scopes: new Set(SCOPES),
  maxClass: 'interactive',
};

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller;
  }
}
