import { createEndable } from './early-end.ts';
import { divertEvents } from './position.ts';
import type { StreamFaults } from './stream-fault.ts';

/** Errors inside a response whose status was 200. */
export const ERROR_EVENTS: StreamFaults<'error_event'> = {
  error_event(inner, params, injection) {
    const { stream, endBy } = createEndable(inner, injection);
    return divertEvents(stream, params, {
      random: injection.random,
      rest: () =>
        endBy(() => {
          inner.send(JSON.stringify(errorBody(params.form, params.message)));
          if (params.followed_by === 'cut') return inner.reset();
          if (params.followed_by === 'done') inner.send('[DONE]');
          inner.end();
        }),
    });
  },
};

type Form = 'nested' | 'flat' | 'bare' | 'string' | 'rust';

/**
 * `nested` is vLLM's since 0.10.1, `flat` the one before, which stands inside `error` in a stream
 * and alone (`bare`) in a body. `string` is that of transformers serve, `rust` that of vLLM's Rust
 * front end, whose code is no number.
 */
function errorBody(form: Form, message: string): object {
  const type = 'InternalServerError';
  const flat = { object: 'error', message, type, param: null, code: 500 };
  switch (form) {
    case 'nested':
      return { error: { message, type, param: null, code: 500 } };
    case 'flat':
      return { error: flat };
    case 'bare':
      return flat;
    case 'string':
      return { error: message };
    case 'rust':
      return { error: { message, type: 'server_error', param: null, code: 'server_error' } };
    default:
      return form satisfies never;
  }
}
