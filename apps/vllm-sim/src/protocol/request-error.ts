/** A refused request, with what vLLM's error body says about it. */
export class RequestError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(options: { status: number; type: string; message: string; param?: string }) {
    super(options.message);
    this.name = 'RequestError';
    this.status = options.status;
    this.type = options.type;
    this.param = options.param ?? null;
  }

  /** The nested shape of vLLM since 0.10.1. */
  body(): { error: { message: string; type: string; param: string | null; code: number } } {
    const { message, type, param, status } = this;
    return { error: { message, type, param, code: status } };
  }
}

/**
 * A value that parsed but is not acceptable. vLLM's VLLMValidationError adds the parameter and its
 * value to the message.
 */
export function badValue(options: {
  message: string;
  param?: string;
  value?: string | number;
}): RequestError {
  const { message, param, value } = options;
  const details = [
    ...(param === undefined ? [] : [`parameter=${param}`]),
    ...(value === undefined ? [] : [`value=${value}`]),
  ];
  return new RequestError({
    status: 400,
    type: 'BadRequestError',
    message: details.length === 0 ? message : `${message} (${details.join(', ')})`,
    ...(param === undefined ? {} : { param }),
  });
}

/** A feature of vLLM that is not simulated: refused, so that nobody mistakes silence for support. */
export function notSimulated(feature: string): RequestError {
  return badValue({ message: `\`${feature}\` is not simulated.`, param: feature });
}

/** Body fields that do not match the schema, as FastAPI's validation reports them. */
export function schemaError(issues: readonly string[]): RequestError {
  const count = `${issues.length} validation error${issues.length === 1 ? '' : 's'}`;
  const lines = issues.map((issue) => `\n  ${issue}`).join('');
  return new RequestError({ status: 400, type: 'Bad Request', message: `${count}:${lines}` });
}

/** Fields that contradict each other: vLLM finds these among the schema errors. */
export function bodyError(options: { message: string; param?: string }): RequestError {
  const { message, param } = options;
  const details = param === undefined ? '' : ` (parameter=${param})`;
  return new RequestError({
    status: 400,
    type: 'Bad Request',
    message: `1 validation error:\n  {'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, ${message}${details}'}`,
    ...(param === undefined ? {} : { param }),
  });
}

export function unknownModel(model: string): RequestError {
  return new RequestError({
    status: 404,
    type: 'NotFoundError',
    message: `The model \`${model}\` does not exist.`,
    param: 'model',
  });
}
