import { parseConfig } from './config.ts';
import { startSimulator } from './simulator.ts';

const parsed = parseConfig(process.argv.slice(2));
if (parsed.kind === 'help') {
  process.stdout.write(`${parsed.text}\n`);
  process.exit(0);
}
if (parsed.kind === 'refused') {
  process.stderr.write(`vllm-sim: ${parsed.message}\n`);
  process.exit(2);
}
const { config } = parsed;

const simulator = await startSimulator(config).catch(explainAndExit);
// vLLM exits with 0 even when its engine has died.
simulator.gone.then(() => process.exit(0), explainAndExit);
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void simulator.stop());
const listening = {
  event: 'listening',
  url: simulator.url,
  profile: config.profile.name,
  models: config.modelNames,
};
process.stdout.write(`${JSON.stringify(listening)}\n`);

function explainAndExit(error: Error & { code?: string }): never {
  const reason =
    error.code === 'EADDRINUSE'
      ? `port ${config.port} on ${config.host} is taken; choose another with --port (0 = any)`
      : error.message;
  process.stderr.write(`vllm-sim: ${reason}\n`);
  process.exit(1);
}
