import type { Fault, NamesOf } from './fault-table.ts';

/**
 * What the engine can be told to do. All are optional: an engine without one of them refuses the
 * faults that need it.
 */
export type EngineFaults = {
  /** Ends every sequence, and each one that comes later, with finish reason `abort`. */
  stop(): void;
  /** Takes no step any more: what is accepted gets nothing. */
  hang?(): void;
  resume?(): void;
  /** Ends every sequence as a dead engine does, and each one that comes later. */
  die?(): void;
  /** As `stop`, after what runs had so long to finish. */
  drain?(timeoutMs: number): Promise<void>;
  resizeKv?(blocks: number): void;
  /** Ends every sequence with finish reason `abort`; the engine goes on. */
  abortAll?(): void;
  /** Every step takes so many times as long as the profile says. */
  setSlowFactor?(factor: number): void;
};

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

/** How a fault is done now, or undefined when the engine has no means to do it. */
export function planEngineFault(
  fault: EngineFault,
  targets: { engine: EngineFaults; server: ServerFaults },
): (() => void) | undefined {
  const { engine, server } = targets;
  switch (fault.name) {
    case 'refuse_connections':
      return () => server.refuseConnections(fault.params.ms);
    case 'restart': {
      const { ms, served_model_name: modelName } = fault.params;
      return () => server.restart({ downMs: ms, modelName });
    }
    case 'shutdown': {
      const drains = fault.params.mode === 'drain';
      if (drains && engine.drain === undefined) return undefined;
      return () => server.shutDown({ drainMs: drains ? fault.params.ms : undefined });
    }
    case 'die': {
      if (engine.die === undefined) return undefined;
      return () => {
        engine.die?.();
        server.endAfterDeath();
      };
    }
    case 'hang':
      return engine.hang && (() => engine.hang?.());
    case 'resume':
      return engine.resume && (() => engine.resume?.());
    case 'kv_shrink':
      return engine.resizeKv && (() => engine.resizeKv?.(fault.params.blocks));
    case 'abort_all':
      return engine.abortAll && (() => engine.abortAll?.());
    case 'slow':
      return engine.setSlowFactor && (() => engine.setSlowFactor?.(fault.params.factor));
    default:
      return fault satisfies never;
  }
}
