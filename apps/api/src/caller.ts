/** On whose behalf a request comes, and what its route asks of it. */
import { NO_LIMITS, QarrError, SCOPES, isAbove } from '@qarr/router-core';
import type { JobClass, KeyLimits, Scope } from '@qarr/router-core';

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
  readonly limits: KeyLimits;
}

/** Where no keys are configured, everybody is the same owner. */
export const ANYBODY: Caller = {
  owner: 'anonymous',
  keyId: null,
  scopes: new Set(SCOPES),
  maxClass: 'interactive',
  limits: NO_LIMITS,
};

/** Who has shown no key where none was asked for. */
export const NOBODY: Caller = { ...ANYBODY, owner: '', scopes: new Set() };

export function requireScope({ scopes }: Pick<Caller, 'scopes'>, scope: Scope): void {
  if (scopes.has(scope)) return;
  throw new QarrError('insufficient_scope', {
    message: `This key needs the scope ${scope} for that.`,
  });
}

/** Of a class that its client has asked for by name. One that it has not is lowered instead. */
export function requireClass(caller: Caller, asked: JobClass | undefined): void {
  if (asked === undefined) return;
  if (asked === 'batch') requireScope(caller, 'batch');
  if (!isAbove(asked, caller.maxClass)) return;
  throw new QarrError('class_not_allowed', {
    param: 'class',
    message: `This key allows class ${caller.maxClass} at most.`,
  });
}

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller;
  }
}
