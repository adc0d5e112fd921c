import type { Engine } from '../engine/engine.ts';
import type { Fault, NamesOf } from './fault-table.ts';

/** What the engine can be told to do. */
export type EngineFaults = Pick<
  Engine,
  'stop' | 'hang' | 'resume' | 'die' | 'drain' | 'resizeKv' | 'abortAll' | 'setSlowFactor'
>;

/** What the server around the engine can be told to do. None waits until it is done. */
export type ServerFaults = {
  refuseConnections(ms: number): void;
  /** The server is gone a while after its engine has died. */
  endAfterDeath(): void;
  /** As on SIGTERM; running answers have `drainMs` to finish, or none if undefined. */
  shutDown(options: { drainMs: number | undefined }): void;
  /** Every connection closes; later a new engine listens on the same port. */
  restart(options: { downMs: number; modelName: string | undefined }): void;
};

type EngineFault = Fault<NamesOf<'engine'>>;

/** How a fault is done now. */
export function planEngineFault(
  fault: EngineFault,
  { engine, server }: { engine: EngineFaults; server: ServerFaults },
): () => void {
  switch (fault.name) {
    case 'refuse_connections':
      return () => server.refuseConnections(fault.params.ms);
    case 'restart': {
      const { ms, served_model_name: modelName } = fault.params;
      return () => server.restart({ downMs: ms, modelName });
    }
    case 'shutdown': {
      const drainMs = fault.params.mode === 'drain' ? fault.params.ms : undefined;
      return () => server.shutDown({ drainMs });
    }
    case 'die':
      return () => {
        engine.die();
        server.endAfterDeath();
      };
    case 'hang':
      return () => engine.hang();
    case 'resume':
      return () => engine.resume();
    case 'kv_shrink':
      return () => engine.resizeKv(fault.params.blocks);
    case 'abort_all':
      return () => engine.abortAll();
    case 'slow':
      return () => engine.setSlowFactor(fault.params.factor);
    default:
      return fault satisfies never;
  }
}
