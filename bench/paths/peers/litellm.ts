/** The LiteLLM proxy, the best-known in Python: one process, nothing kept. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Path } from '../path.ts';
import { fromPyPi } from './install.ts';
import { runPeer } from './run-peer.ts';

const VERSION = '1.80.0';
const proxy = fromPyPi({ name: 'litellm', version: VERSION, extra: 'proxy' });

export const litellm: Path = {
  name: 'litellm',
  hasRedis: false,
  prepare: () => proxy.install(),
  async start({ folder, upstreamUrl, model, signal }) {
    const config = path.join(folder, 'litellm.yaml');
    await writeFile(config, configOf({ upstreamUrl, model }));
    return runPeer({
      file: path.join(proxy.folder, 'bin/litellm'),
      args: (port) => {
        const listening = ['--host', '127.0.0.1', '--port', String(port)];
        return ['--config', config, ...listening, '--telemetry', 'False'];
      },
      env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_LOG: 'ERROR' },
      folder,
      headers: {},
      signal,
    });
  },
};

function configOf({ upstreamUrl, model }: { upstreamUrl: string; model: string }): string {
  return `model_list:
  - model_name: ${model}
    litellm_params:
      model: openai/${model}
      api_base: ${upstreamUrl}/v1
      api_key: none
litellm_settings:
  num_retries: 0
  telemetry: false
`;
}
