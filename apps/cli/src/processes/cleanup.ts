/** What must be stopped at the end: last in, first out, once, and all of it. */
export interface Cleanup {
  add(stop: () => Promise<void> | void): void;
  /** A stop that fails does not keep the others from running; the first failure is thrown. */
  stop(): Promise<void>;
}

export function createCleanup(): Cleanup {
  const stops: (() => Promise<void> | void)[] = [];
  let stopping: Promise<void> | undefined;
  const stopAll = async () => {
    const failures: unknown[] = [];
    for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
      try {
        await stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  };
  return {
    add(stop) {
      stops.push(stop);
    },
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
  };
}
