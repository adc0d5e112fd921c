/** All rounds of each figure as one spread, and its ratios to other paths: of the same round, always. */
import { spreadOf } from '../measure/spread.ts';
import type { Spread } from '../measure/spread.ts';
import type { Sample } from '../result.ts';
import type { FigureName } from './figures.ts';

export interface Summary {
  /** Names of the scenarios that have figures, in the order in which they were run. */
  readonly scenarios: readonly string[];
  pathsOf(scenario: string): readonly string[];
  figure(at: { scenario: string; path: string; figure: FigureName }): Spread | null;
  /** The figure of one path over that of another. Null where one has none, or nothing to divide by. */
  ratio(at: { scenario: string; path: string; to: string; figure: FigureName }): Spread | null;
}

export function summarise(samples: readonly Sample[]): Summary {
  const of = (scenario: string, path: string) =>
    samples.filter((one) => one.scenario === scenario && one.path === path);
  return {
    scenarios: [...new Set(samples.map(({ scenario }) => scenario))],
    pathsOf: (scenario) => [
      ...new Set(samples.filter((one) => one.scenario === scenario).map(({ path }) => path)),
    ],
    figure: ({ scenario, path, figure }) =>
      spreadOf(of(scenario, path).flatMap(({ figures }) => figures[figure] ?? [])),
    ratio({ scenario, path, to, figure }) {
      const others = of(scenario, to);
      const ratios = of(scenario, path).flatMap(({ round, figures }) => {
        const other = others.find((one) => one.round === round)?.figures[figure];
        const value = figures[figure];
        // A difference that is nothing, or less by noise, is nothing to divide by.
        return value === undefined || other === undefined || other <= 0 ? [] : value / other;
      });
      return spreadOf(ratios);
    },
  };
}
