/** What a run has shown, for people. */
import { phaseFigures, totals } from './figures.ts';
import type { ScaleResult } from './run.ts';

const VIOLATIONS_SHOWN = 20;

export function formatReport(result: ScaleResult, head: { commit: string; command: string }) {
  const { violations, plan } = result;
  const { acknowledged, completed, changedHands, carriedOn } = totals(result);
  const rows = phaseFigures(result).map((phase) =>
    [
      phase.workers,
      phase.seconds.toFixed(0),
      `${phase.inWorkMean.toFixed(1)} of ${phase.workers * plan.slots}`,
      phase.jobsPerS.toFixed(2),
      phase.tokensPerS.toFixed(0),
      phase.ratio.toFixed(2),
      phase.jobsByWorker.join(', '),
      phase.hasFailover ? 'the primary was killed' : '',
    ].join(' | '),
  );
  return `\`${head.command}\`, commit ${head.commit}

| workers | s | jobs in work | jobs/s | tokens/s | ratio | jobs by worker | |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}

${acknowledged} jobs acknowledged, ${completed} completed. ${changedHands} began on one worker and ended on another,
${carriedOn} of them with text that the next one went on from.
${verdictOf(result)}
${violations
  .slice(0, VIOLATIONS_SHOWN)
  .map((line) => `- ${line}\n`)
  .join('')}`;
}

function verdictOf({ violations }: ScaleResult): string {
  return violations.length === 0
    ? 'Nothing was lost, doubled or garbled; each stream was whole.'
    : `${violations.length} violations.`;
}
