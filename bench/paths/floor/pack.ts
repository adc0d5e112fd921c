/** Several jobs' bytes in one message: for each its number, what it is, how long it is, and itself. */

const KINDS = ['data', 'end', 'failed'] as const;
const HEAD_BYTES = 9;

export interface Frame {
  readonly id: number;
  readonly kind: (typeof KINDS)[number];
  readonly bytes: Buffer;
}

export function writePack(frames: readonly Frame[]): Buffer {
  const parts = frames.flatMap(({ id, kind, bytes }) => {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(id, 0);
    head.writeUInt8(KINDS.indexOf(kind), 4);
    head.writeUInt32LE(bytes.length, 5);
    return [head, bytes];
  });
  return Buffer.concat(parts);
}

export function* readPack(pack: Buffer): Generator<Frame> {
  for (let at = 0; at < pack.length;) {
    const from = at + HEAD_BYTES;
    const to = from + pack.readUInt32LE(at + 5);
    const kind = KINDS[pack.readUInt8(at + 4)] ?? 'failed';
    yield { id: pack.readUInt32LE(at), kind, bytes: pack.subarray(from, to) };
    at = to;
  }
}
