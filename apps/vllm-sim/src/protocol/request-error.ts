/** A refused request, with what the servers' error bodies say about it. See `errorBody`. */
export class RequestError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  /** What newer servers add to the message: the parameter and its value. */
  readonly details: string;
  /** The mismatches of a body that does not fit the schema, as pydantic prints them. */
  readonly issues: readonly string[];

  constructor(options: {
    status: number;
    type: string;
    message: string;
    param?: string | undefined;
    details?: string;
    issues?: readonly string[];
  }) {
    super(options.message);
    this.name = 'RequestError';
    this.status = options.status;
    this.type = options.type;
    this.param = options.param ?? null;
    this.details = options.details ?? '';
    this.issues = options.issues ?? [];
  }
}

/** A value that parsed but is not acceptable: vLLM's VLLMValidationError, before it a ValueError. */
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
    message,
    param,
    details: details.length === 0 ? '' : ` (${details.join(', ')})`,
  });
}

/** A feature of vLLM that is not simulated: refused, so that nobody mistakes silence for support. */
export function notSimulated(feature: string, reason = 'is not simulated.'): RequestError {
  return badValue({ message: `\`${feature}\` ${reason}`, param: feature });
}

/** Body fields that do not match the schema, as FastAPI's validation reports them. */
export function schemaError(issues: readonly string[]): RequestError {
  const count = `${issues.length} validation error${issues.length === 1 ? '' : 's'}`;
  const lines = issues.map((issue) => `\n  ${issue}`).join('');
  return new RequestError({
    status: 400,
    type: 'Bad Request',
    message: `${count}:${lines}`,
    issues,
  });
}

/** Fields that contradict each other: vLLM finds these among the schema errors. */
export function bodyError(options: { message: string; param?: string }): RequestError {
  const { message, param } = options;
  const issue = (details: string) =>
    `{'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, ${message}${details}'}`;
  return new RequestError({
    status: 400,
    type: 'Bad Request',
    message: `1 validation error:\n  ${issue(param === undefined ? '' : ` (parameter=${param})`)}`,
    param,
    issues: [issue('')],
  });
}

/** The wording of the list that vLLM 0.32 adds is not verified. */
export function unknownModel(model: string, servedNames: readonly string[]): RequestError {
  const aliases = servedNames.length === 0 ? '' : ` Valid aliases: ${servedNames.join(', ')}.`;
  return new RequestError({
    status: 404,
    type: 'NotFoundError',
    message: `The model \`${model}\` does not exist.${aliases}`,
    param: 'model',
  });
}

/** The engine process has died, or ended this request with an error. */
export function engineFailed(): RequestError {
  return new RequestError({
    status: 500,
    type: 'InternalServerError',
    message: 'EngineCore encountered an issue. See stack trace (above) for the root cause.',
  });
}
