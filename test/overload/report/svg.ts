/**
 * A plain line chart as an SVG document, for pages in light and in dark: three dozen lines of strings
 * are less than any library brings.
 */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** A value holds until the next one. */
  readonly isStep?: boolean;
  readonly isDashed?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  /** Times in which something held, as bands behind the lines. */
  readonly bands?: readonly { readonly name: string; readonly from: number; readonly to: number }[];
}

interface Axis {
  readonly label: string;
  /** Linear from the smallest to the largest value, unless `log`. */
  readonly scale?: 'linear' | 'log';
  /** Where nothing is said, some round numbers. */
  readonly ticks?: readonly { readonly at: number; readonly name: string }[];
}

const WIDTH = 760;
const HEIGHT = 360;
const MARGIN = { left: 64, right: 40, top: 36, bottom: 76 };
/** Told apart also by those who do not see red and green (Okabe and Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#7f7f7f'];
const TICKS = 5;

export function drawChart({ title, x, y, series, bands = [] }: Chart): string {
  const points = series.flatMap((one) => one.points);
  const across = place(
    x,
    points.map(([value]) => value),
    [MARGIN.left, WIDTH - MARGIN.right],
  );
  const up = place(
    y,
    points.map(([, value]) => value),
    [HEIGHT - MARGIN.bottom, MARGIN.top],
  );
  const [bottom, right] = [HEIGHT - MARGIN.bottom, WIDTH - MARGIN.right];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(title)}">`,
    '<style>text{font:12px system-ui,sans-serif;fill:#222}.grid{stroke:#8884}.axis{stroke:#888}',
    '.line{fill:none;stroke-width:2}.paper{fill:#fff}.band{fill:#d55e0022}',
    '@media(prefers-color-scheme:dark){text{fill:#ddd}.paper{fill:#161b22}}</style>',
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>`,
    text(WIDTH / 2, 20, title, 'middle', 'font-weight:600'),
    ...bands.map(({ from, to }) => {
      const [left, end] = [across.at(from), across.at(to)];
      return `<rect class="band" x="${left}" y="${MARGIN.top}" width="${Math.max(1, end - left)}" height="${bottom - MARGIN.top}"/>`;
    }),
    ...across.ticks.flatMap(({ at, name }) => [
      line('grid', [at, MARGIN.top], [at, bottom]),
      text(at, bottom + 16, name, 'middle'),
    ]),
    ...up.ticks.flatMap(({ at, name }) => [
      line('grid', [MARGIN.left, at], [right, at]),
      text(MARGIN.left - 6, at + 4, name, 'end'),
    ]),
    line('axis', [MARGIN.left, bottom], [right, bottom]),
    line('axis', [MARGIN.left, MARGIN.top], [MARGIN.left, bottom]),
    text((MARGIN.left + right) / 2, bottom + 34, x.label, 'middle'),
    `<g transform="translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)">${text(0, 0, y.label, 'middle')}</g>`,
    ...series.flatMap((one, index) => {
      const colour = COLOURS[index % COLOURS.length] ?? '#000';
      const dash = one.isDashed === true ? ' stroke-dasharray="6 4"' : '';
      return [
        `<path class="line" stroke="${colour}"${dash} d="${pathOf(one, across.at, up.at)}"/>`,
        ...(one.isStep === true || one.points.length > POINTS_WITH_DOTS
          ? []
          : one.points.map(
              ([px, py]) =>
                `<circle cx="${across.at(px)}" cy="${up.at(py)}" r="3" fill="${colour}"/>`,
            )),
      ];
    }),
    ...legend(
      series.map(({ name }) => name),
      bands[0]?.name,
    ),
    '</svg>',
    '',
  ].join('\n');
}

/** Beyond it the line says it all. */
const POINTS_WITH_DOTS = 20;

interface Placed {
  readonly at: (value: number) => number;
  readonly ticks: readonly { readonly at: number; readonly name: string }[];
}

function place(
  axis: Axis,
  values: readonly number[],
  [from, to]: readonly [number, number],
): Placed {
  const isLog = axis.scale === 'log';
  const known = [...values, ...(axis.ticks?.map(({ at }) => at) ?? [])].filter(
    (value) => Number.isFinite(value) && (!isLog || value > 0),
  );
  const least = isLog
    ? 10 ** Math.floor(Math.log10(Math.min(...known, 1e9)))
    : Math.min(0, ...known);
  const most = isLog
    ? 10 ** Math.ceil(Math.log10(Math.max(...known, least * 10)))
    : Math.max(...known, least + 1);
  const shareOf = (value: number) =>
    isLog
      ? Math.log(Math.max(value, least) / least) / Math.log(most / least)
      : (value - least) / (most - least);
  const at = (value: number) => round(from + shareOf(value) * (to - from));
  const marks = axis.ticks ?? (isLog ? decades(least, most) : roundNumbers(least, most));
  return { at, ticks: marks.map((mark) => ({ at: at(mark.at), name: mark.name })) };
}

function decades(least: number, most: number) {
  const marks: { at: number; name: string }[] = [];
  for (let value = least; value <= most * 1.001; value *= 10)
    marks.push({ at: value, name: short(value) });
  return marks;
}

function roundNumbers(least: number, most: number) {
  const rough = (most - least) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => power * factor >= rough) ?? 10);
  const marks: { at: number; name: string }[] = [];
  for (let value = Math.ceil(least / step) * step; value <= most + step / 1_000; value += step) {
    marks.push({ at: value, name: short(value) });
  }
  return marks;
}

function pathOf(
  { points, isStep }: Series,
  across: (value: number) => number,
  up: (value: number) => number,
): string {
  return points
    .map(([px, py], index) => {
      if (index === 0) return `M${across(px)} ${up(py)}`;
      return isStep === true ? `H${across(px)}V${up(py)}` : `L${across(px)} ${up(py)}`;
    })
    .join('');
}

function legend(names: readonly string[], band: string | undefined): string[] {
  const y = HEIGHT - 14;
  const entries = [
    ...names.map((name, index) => ({ name, colour: COLOURS[index % COLOURS.length] ?? '#000' })),
    ...(band === undefined ? [] : [{ name: band, colour: '#d55e0044' }]),
  ];
  const width = (WIDTH - MARGIN.left - MARGIN.right) / Math.max(1, entries.length);
  return entries.flatMap(({ name, colour }, index) => {
    const left = round(MARGIN.left + index * width);
    return [
      `<rect x="${left}" y="${y - 9}" width="14" height="9" fill="${colour}"/>`,
      text(left + 19, y, name, 'start'),
    ];
  });
}

function line(
  name: string,
  [x1, y1]: readonly [number, number],
  [x2, y2]: readonly [number, number],
) {
  return `<line class="${name}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

function text(x: number, y: number, words: string, anchor: string, style = ''): string {
  const styled = style === '' ? '' : ` style="${style}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${styled}>${escape(words)}</text>`;
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function short(value: number): string {
  return value >= 10_000 ? `${value / 1_000}k` : String(Number(value.toPrecision(6)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
