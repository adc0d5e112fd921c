/** Errors after which nobody knows whether what was asked for has been done. */
import type { ErrorCode } from '@qarr/router-core';

const BECAUSE: Partial<Record<ErrorCode, string>> = {
  queue_unavailable: 'The queue does not answer.',
  not_replicated: 'Too few replicas of the queue have confirmed in time.',
};

export function isOutcomeUnknown(code: ErrorCode): boolean {
  return code in BECAUSE;
}

/** The first sentence of what a client is told. */
export function unknownBecause(code: ErrorCode): string {
  return BECAUSE[code] ?? '';
}
