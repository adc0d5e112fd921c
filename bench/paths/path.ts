/** A way that a chat takes from the client to the engine: what the bench measures beside others. */

export interface Shape {
  readonly apis: number;
  readonly workers: number;
}

export interface PathContext {
  /** For what the path writes; its alone. */
  readonly folder: string;
  /** Of the paced engine, without `/v1`. */
  readonly upstreamUrl: string;
  readonly model: string;
  /** Of a server that is this path's alone and writes as production does; unused where it has none. */
  readonly redisUrl: string;
  /** For paths that have such processes. */
  readonly shape: Shape;
  readonly signal: AbortSignal;
}

export type ProcessRole = 'api' | 'worker' | 'redis' | 'gateway';

export interface PathProcess {
  readonly role: ProcessRole;
  readonly pid: number;
}

export interface RunningPath {
  /** The load takes them in turn: `http://127.0.0.1:PORT/v1/chat/completions`. */
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  /** All that serve it and can be told apart, without Redis where its server was handed in. */
  readonly processes: readonly PathProcess[];
  stop(): Promise<void>;
}

export interface Path {
  readonly name: string;
  readonly hasRedis: boolean;
  /** Installs what it needs. Returns why it is left out, or null where it can be started. */
  prepare?(): Promise<string | null>;
  start(context: PathContext): Promise<RunningPath>;
}
