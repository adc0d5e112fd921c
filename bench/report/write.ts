/** Writes a report to a folder, and into the documentation. */
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FIGURES } from './figures.ts';
import { formatReport } from './markdown.ts';
import type { Report } from './markdown.ts';
import { formatHtml } from './page.ts';

const BEGIN = '<!-- report -->';
const END = '<!-- end of the report -->';
const DOCS_IMAGES = 'performance';

export async function writeReport(report: Report, folder: string): Promise<void> {
  const { charts, commit, command, against, machine, result, verdicts } = report;
  await mkdir(folder, { recursive: true });
  const raw = { commit, command, against, machine, figures: FIGURES, verdicts, ...result };
  const text = `# How fast\n\n${formatReport(report, { imageFolder: '.' })}`;
  await Promise.all([
    writeFile(join(folder, 'report.json'), `${JSON.stringify(raw, null, 1)}\n`),
    writeFile(join(folder, 'report.md'), text),
    writeFile(join(folder, 'index.html'), formatHtml(report)),
    ...charts.map(({ name, svg }) => writeFile(join(folder, `${name}.svg`), svg)),
  ]);
}

/** `docs`: the folder of the documentation. */
export async function writeDocs(report: Report, docs: string): Promise<void> {
  const page = join(docs, 'performance.md');
  const images = join(docs, DOCS_IMAGES);
  await mkdir(images, { recursive: true });
  const former = (await readdir(images)).filter((name) => name.endsWith('.svg'));
  await Promise.all(former.map((name) => rm(join(images, name))));
  for (const { name, svg } of report.charts) await writeFile(join(images, `${name}.svg`), svg);
  const text = formatReport(report, { imageFolder: DOCS_IMAGES });
  await writeFile(page, withReport(await readFile(page, 'utf8'), text));
}

/** The page with this report in the place of the one before. */
export function withReport(page: string, report: string): string {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`The page has no ${BEGIN} and ${END}`);
  return `${page.slice(0, from + BEGIN.length)}\n\n${report.trim()}\n\n${page.slice(to)}`;
}
