/** All checks. Read this first: each line is a group of invariants, in a file of its own. */
import { checkAnswers } from './answers.ts';
import { checkCancels } from './cancels.ts';
import { checkDeadlines } from './deadlines.ts';
import type { Evidence, Violation } from './evidence.ts';
import { checkFailures } from './failures.ts';
import { checkLeftovers } from './leftovers.ts';
import { checkLogs } from './logs.ts';
import { checkReaders } from './readers.ts';
import { checkResults } from './results.ts';
import { checkDeletions, checkSubmissions } from './submissions.ts';

const CHECKS = [
  checkSubmissions,
  checkDeletions,
  checkLogs,
  checkReaders,
  checkResults,
  checkAnswers,
  checkCancels,
  checkDeadlines,
  checkFailures,
  checkLeftovers,
];

export function checkAll(evidence: Evidence): Violation[] {
  return CHECKS.flatMap((check) => check(evidence));
}
