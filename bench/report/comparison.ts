/** Two commits in one run: what has become better, and what worse. */
import { FIGURES, FIGURE_NAMES } from './figures.ts';
import type { Summary } from './summary.ts';
import type { Spread } from '../measure/spread.ts';

/** Differences below it are not established by a few rounds. */
const WORSE_BY = 0.1;
/** Differences and what a machine gave: they say nothing by themselves. */
const NOT_COMPARED = new Set(['addedTtftP50', 'addedTtftP95', 'addedGapP95']);

export interface Change {
  readonly scenario: string;
  readonly figure: string;
  /** This commit over the other. */
  readonly ratio: Spread;
  /** In every round, and by more than a tenth in the middle. */
  readonly kind: 'better' | 'worse' | 'same';
}

export function compare(summary: Summary, against: string): Change[] {
  return summary.scenarios.flatMap((scenario) =>
    FIGURE_NAMES.filter((name) => !NOT_COMPARED.has(name)).flatMap((figure) => {
      const ratio = summary.ratio({ scenario, path: 'qarr', to: against, figure });
      if (ratio === null) return [];
      const { title, isBetter } = FIGURES[figure];
      return [{ scenario, figure: title, ratio, kind: kindOf(ratio, isBetter) }];
    }),
  );
}

function kindOf({ median, min, max }: Spread, isBetter: 'less' | 'more'): Change['kind'] {
  const isMore = min > 1 && median > 1 + WORSE_BY;
  const isLess = max < 1 && median < 1 - WORSE_BY;
  if (!isMore && !isLess) return 'same';
  return isMore === (isBetter === 'more') ? 'better' : 'worse';
}
