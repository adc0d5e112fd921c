import { encode, tokenBytes } from '../tokenizer.ts';

/** A word or a mark as it is written: its bytes, and which token begins at which byte. */
export type Piece = {
  readonly bytes: Uint8Array;
  /** By position in `bytes`. Nothing where no token begins when the piece is written at a stretch. */
  readonly idAt: readonly (number | undefined)[];
};

export function createPiece(text: string): Piece {
  const bytes = new TextEncoder().encode(text);
  const idAt: (number | undefined)[] = Array.from({ length: bytes.length });
  let at = 0;
  for (const id of encode(text)) {
    idAt[at] = id;
    at += tokenBytes(id).length;
  }
  return { bytes, idAt };
}

/**
 * The token that goes on at `position`. Where another text broke off inside a token it is the first
 * token of what is left, or a single byte where it broke off inside a character.
 */
export function tokenAt(piece: Piece, position: number): number {
  const usual = piece.idAt[position];
  if (usual !== undefined) return usual;
  const byte = piece.bytes[position] ?? 0;
  const insideCharacter = byte >= 0x80 && byte < 0xc0;
  if (insideCharacter) return byte;
  return encode(new TextDecoder().decode(piece.bytes.subarray(position)))[0] ?? byte;
}
