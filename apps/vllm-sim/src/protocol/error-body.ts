import type { ErrorFormat } from '../personas.ts';
import type { RequestError } from './request-error.ts';

/** The JSON body of a refused request. */
export function errorBody(error: RequestError, format: ErrorFormat): object {
  switch (format) {
    case 'flat':
      return flatBody(error);
    case 'nested': {
      const { status: code, type, param } = error;
      return { error: { message: error.message + error.details, type, param, code } };
    }
    case 'detail':
      return { detail: error.message };
    default:
      throw new Error(`no such format: ${String(format satisfies never)}`);
  }
}

/** The data of the event that tells an error in an open stream. */
export function errorEvent(error: RequestError, format: ErrorFormat): string {
  switch (format) {
    case 'flat':
      return JSON.stringify({ error: flatBody(error) });
    case 'nested':
      return JSON.stringify(errorBody(error, format));
    case 'detail':
      return JSON.stringify({ error: error.message });
    default:
      throw new Error(`no such format: ${String(format satisfies never)}`);
  }
}

/** Before 0.10.1 schema errors were one list in one line, and no parameter was ever named. */
function flatBody({ issues, message, status: code, type }: RequestError): object {
  const known = issues.length > 0;
  return {
    object: 'error',
    message: known ? `[${issues.join(', ')}]` : message,
    type: known ? 'BadRequestError' : type,
    param: null,
    code,
  };
}
