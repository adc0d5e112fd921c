/** What to try next, once everything serves. */
import path from 'node:path';
import type { Screen } from './screen.ts';

const QUESTION = 'Explain in two sentences how a queue protects a slow service.';

export function invite({
  baseUrl,
  hasKeys,
  logFolder,
  screen,
}: {
  baseUrl: string;
  hasKeys: boolean;
  logFolder: string;
  screen: Screen;
}): void {
  const key = hasKeys ? '-H "authorization: Bearer $KEY" ' : '';
  const json = `${key}-H 'content-type: application/json'`;
  const streamed = JSON.stringify({ prompt: QUESTION, stream: true });
  const job = JSON.stringify({ prompt: QUESTION });
  const logs = path.relative(process.cwd(), logFolder);
  screen.line();
  screen.line(
    `${screen.style('bold', `Serving at ${baseUrl}`)}, logs in ${logs}; Ctrl-C stops everything.`,
  );
  screen.line();
  if (hasKeys) {
    screen.line('Keys are on; make one where the same secret is set:');
    screen.line(`  KEY=$(${commandLine()} keys create --owner NAME)`);
  }
  screen.line('Stream an answer:');
  screen.line(`  curl -N ${baseUrl}/v1/chat/completions ${json} -d '${streamed}'`);
  screen.line(
    `Submit a job, and follow it at the urls.events of the answer (curl -N ${key}<url>):`,
  );
  screen.line(`  curl ${baseUrl}/v1/jobs ${json} -d '${job}'`);
}

/** How the CLI is called from here. By npm it runs on the right Node, whatever Node there is. */
function commandLine(): string {
  const file = path.relative(process.cwd(), process.argv[1] ?? '');
  return file === path.join('apps', 'cli', 'src', 'main.ts')
    ? 'npm run -s qarr --'
    : `node ${file}`;
}
