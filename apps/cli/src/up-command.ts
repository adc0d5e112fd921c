import type { Command } from 'commander';
import { EXIT_INTERRUPTED } from './cli-error.ts';
import type { EndWith } from './command.ts';
import { readConfig } from './config.ts';
import { createScreen } from './screen.ts';
import { listenForStopSignals } from './stop-signals.ts';
import { up } from './up.ts';
import { readWorkerCounts } from './worker-counts.ts';

const HELP = `
Examples:
  qarr up
  qarr up --workers fast=3 --workers balanced=2
  QARR_FAST_URL=http://gpu-1:8000 REDIS_URL=redis://redis:6379 qarr up`;

export function addUpCommand(program: Command, endWith: EndWith): void {
  program
    .command('up')
    .description('Start a whole system on this machine, show it working, and serve until Ctrl-C.')
    .option('--exit-after-demo', 'stop everything after the three answers')
    .option(
      '--workers <tier=number>',
      'workers of a tier, as fast=3,balanced=2; repeat it for more tiers',
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .addHelpText('after', HELP)
    .action(async ({ exitAfterDemo = false, workers = [] }: UpFlags) => {
      endWith(await runUp({ exitsAfterDemo: exitAfterDemo, workers: readWorkerCounts(workers) }));
    });
}

interface UpFlags {
  readonly exitAfterDemo?: boolean;
  readonly workers?: readonly string[];
}

async function runUp({
  exitsAfterDemo,
  workers,
}: {
  exitsAfterDemo: boolean;
  workers: ReadonlyMap<string, number>;
}): Promise<number> {
  const config = readConfig({ workers });
  const { stdout, stderr } = process;
  const screen = createScreen({ stdout, stderr, colours: stdout.isTTY && config.colours });
  const signals = listenForStopSignals({ onStop: () => screen.line('stopping…') });
  // Whoever read the output is gone (`npm start | head`): there is nobody left to serve.
  stdout.on('error', () => signals.request());
  stderr.on('error', () => signals.request());
  await up({
    config,
    screen,
    stopSignal: signals.stop,
    killSignal: signals.kill,
    exitsAfterDemo,
  });
  return signals.kill.aborted ? EXIT_INTERRUPTED : 0;
}
