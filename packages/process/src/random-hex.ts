import { randomBytes } from 'node:crypto';

/** Some twenty spans. */
const BYTES_AT_ONCE = 512;

/** Random bytes in hexadecimal digits. Many are made at once: a call for each costs more than all else. */
export function createRandomHex(): (bytes: number) => string {
  let digits = '';
  return (bytes) => {
    if (digits.length < 2 * bytes) digits = randomBytes(BYTES_AT_ONCE).toString('hex');
    const taken = digits.slice(0, 2 * bytes);
    digits = digits.slice(2 * bytes);
    return taken;
  };
}
