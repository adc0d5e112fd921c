import type { Persona } from '../personas.ts';
import { schemaError, unknownModel } from '../protocol/request-error.ts';
import type { JsonObject } from '../protocol/fields.ts';

/** The served model, as every route sees it. */
export type ServedModel = {
  /** The first name is the one in answers, whatever alias was asked for. */
  readonly names: readonly [string, ...string[]];
  readonly modelLenMax: number;
  /** Unix time in seconds. */
  readonly created: number;
};

/** @throws RequestError 404. A request without a model means the one that is served. */
export function checkModel(
  asked: string | undefined,
  { model, persona }: { model: ServedModel; persona: Persona },
): void {
  if (asked === undefined || asked === '' || model.names.includes(asked)) return;
  throw unknownModel(asked, persona.namesServedModels ? model.names : []);
}

/** @throws RequestError 400 when the body is JSON but no object */
export function requireObject(body: unknown): JsonObject {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    return { ...body };
  }
  throw schemaError([
    "{'type': 'model_attributes_type', 'loc': ('body',), 'msg': 'Input should be a valid dictionary or object to extract fields from'}",
  ]);
}
