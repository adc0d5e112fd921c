/**
 * Starts the server that is in `@musistudio/llms`, as its command does: the package has none of its own.
 * Arguments: the folder where it is installed, the port, the engine's URL, the model.
 */
import { createRequire } from 'node:module';

const [folder, port, upstreamUrl, model] = process.argv.slice(2);
const { default: Server } = createRequire(folder)('@musistudio/llms');

// A request names its provider and then the model; one that names the model alone must find it too.
const provider = {
  name: model,
  api_base_url: `${upstreamUrl}/v1/chat/completions`,
  api_key: 'none',
  models: [model],
  transformer: {},
};
const server = new Server({
  useJsonFile: false,
  useEnvFile: false,
  useEnvironmentVariables: false,
  initialConfig: { HOST: '127.0.0.1', PORT: port, LOG: false, providers: [provider] },
  logger: false,
});
await server.start();
