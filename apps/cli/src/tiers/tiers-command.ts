import type { Command } from 'commander';
import { untilStopped, urlOption } from '../command.ts';
import { readApiKey, readApiUrl, usesColours } from '../config.ts';
import { createScreen } from '../screen.ts';
import { showTiers, watchTiers } from './tiers.ts';

interface TiersFlags {
  readonly url?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

const HELP = `
Examples:
  qarr tiers
  qarr tiers --json | jq '.tiers[] | {name, depth}'`;

export function addTiersCommand(program: Command): void {
  program
    .command('tiers')
    .description('Show what waits and runs in each tier, and its engines, until Ctrl-C.')
    .addOption(urlOption())
    .option('--once', 'once, as always where the output is no terminal')
    .option('--json', 'once, as the API tells it')
    .addHelpText('after', HELP)
    .action(runTiers);
}

async function runTiers({ url, once = false, json = false }: TiersFlags): Promise<void> {
  const { stdout, stderr } = process;
  const baseUrl = readApiUrl({ given: url });
  const apiKey = readApiKey();
  const { style } = createScreen({ stdout, stderr, colours: stdout.isTTY && usesColours() });
  await untilStopped(async ({ stop: signal }) => {
    const deps = { baseUrl, apiKey, stdout, style, signal };
    if (once || json || !stdout.isTTY) await showTiers({ ...deps, asJson: json });
    else await watchTiers(deps);
  });
}
