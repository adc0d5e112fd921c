/** A `fetch` that tells how much of a form has been sent: the platform's own does not. */

export interface UploadMeter {
  readonly fetch: typeof globalThis.fetch;
  /** Called with the bytes sent so far, from 0 on for each try. */
  onSent: (bytes: number) => void;
}

export function createUploadMeter(): UploadMeter {
  const meter: UploadMeter = {
    onSent: () => {},
    fetch(url, init) {
      if (!(init?.body instanceof FormData)) return fetch(url, init);
      const form = new Response(init.body);
      const headers = new Headers(init.headers);
      headers.set('content-type', form.headers.get('content-type') ?? '');
      let bytes = 0;
      const counted = form.body?.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            bytes += chunk.length;
            meter.onSent(bytes);
            controller.enqueue(chunk);
          },
        }),
      );
      return fetch(url, { ...init, headers, body: counted ?? null, duplex: 'half' });
    },
  };
  return meter;
}
