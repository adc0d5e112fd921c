/**
 * The one model that all engines of a worker must serve: the configured one, else the first that
 * any of them was ready with. Answers of another model would be answers of another tier.
 */
export interface ServedModel {
  /** Null while it is not known. */
  expected(): string | null;
  /** True when this is the one; the first becomes the one. Null is an engine that does not say. */
  agree(model: string | null): boolean;
}

export function createServedModel(configured: string | undefined): ServedModel {
  let expected = configured ?? null;
  return {
    expected: () => expected,
    agree(model) {
      if (model === null) return true;
      expected ??= model;
      return model === expected;
    },
  };
}
