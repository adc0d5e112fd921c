/** The tables of variables in docs/configuration.md, made of the schemas that the processes read. */
import { environmentSchema as runnerSchema } from '../../apps/api/src/batch-runner/config.ts';
import { environmentSchema as apiSchema } from '../../apps/api/src/config.ts';
import { environmentSchema as workerSchema } from '../../apps/worker/src/config.ts';
import { environmentTable } from '../../packages/process/src/environment-table.ts';

const HEAD = ['| variable | default | allowed | meaning |', '| --- | --- | --- | --- |'];
/** What the batch runner reads as the API does, which a sentence of its section says. */
const SHARED = Object.keys(runnerSchema.shape).filter((name) => name in apiSchema.shape);
const SENTENCE = /^Besides, with the meaning and the defaults that they have for the API: .*$/m;
/** By the headings of their sections. */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  'The API': environmentTable(apiSchema),
  'A worker': environmentTable(workerSchema),
  'The batch runner': environmentTable(runnerSchema).filter(
    (row) => !SHARED.some((name) => row.startsWith(`| \`${name}\` `)),
  ),
};

/** The page with the first table of each of these sections made anew. Throws where there is none. */
export function withTables(page: string): string {
  const sections = page.split(/^(?=## )/m);
  for (const [heading, rows] of Object.entries(TABLES)) {
    const at = sections.findIndex((section) => section.startsWith(`## ${heading}: `));
    const section = sections[at] ?? '';
    const table = /^\| variable .*\n(?:\|.*\n)+/m.exec(section)?.[0];
    if (table === undefined) throw new Error(`No table of variables under "## ${heading}"`);
    sections[at] = section.replace(table, () => `${[...HEAD, ...rows].join('\n')}\n`);
  }
  if (!SENTENCE.test(page)) throw new Error('The runner shares nothing with the API');
  const names = SHARED.map((name) => `\`${name}\``).join(', ');
  return sections
    .join('')
    .replace(
      SENTENCE,
      `Besides, with the meaning and the defaults that they have for the API: ${names}. Set them alike.`,
    );
}

/** Without what only lines columns up. */
export function unaligned(page: string): string {
  return page.replaceAll(/^\|.*$/gm, (row) =>
    row.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---'),
  );
}
