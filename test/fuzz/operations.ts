/** What `/openapi.json` says there is. */
import type { JsonSchema, Resolve } from './json-schema.ts';

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, JsonSchema>> };
}

interface OpenApiOperation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema?: JsonSchema }>>;

export interface Parameter {
  readonly in: 'path' | 'query' | 'header' | 'cookie';
  readonly name: string;
  readonly required?: boolean;
  readonly schema: JsonSchema;
}

export interface Operation {
  /** `GET /v1/jobs/{id}` */
  readonly name: string;
  readonly method: string;
  /** With its parameters in braces. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** Null: it takes none. */
  readonly body: JsonSchema | null;
  /** The parts of a form, where it takes one in place of a body. */
  readonly form: JsonSchema | null;
  /** Of a JSON answer with this status; null where nothing is said of it. */
  answerSchema(status: number): JsonSchema | null;
}

export function operationsOf(api: OpenApi): Operation[] {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      parameters,
      body: schemaIn(requestBody?.content),
      form: requestBody?.content['multipart/form-data']?.schema ?? null,
      answerSchema(status: number) {
        const answer = responses[String(status)] ?? responses[`${Math.floor(status / 100)}XX`];
        return schemaIn(answer?.content);
      },
    })),
  );
}

export function resolverOf({ components }: OpenApi): Resolve {
  return (reference) => {
    const schema = components?.schemas?.[reference.replace('#/components/schemas/', '')];
    if (schema === undefined) throw new Error(`${reference} is not in the document.`);
    return schema;
  };
}

function schemaIn(content: Content | undefined): JsonSchema | null {
  return content?.['application/json']?.schema ?? null;
}
