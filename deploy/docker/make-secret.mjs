/**
 * Makes the file that is named, with a random secret in it, unless it is there: then it is kept, since
 * another secret would make all keys void. Whole or not at all, however often and at once it is run.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, rmSync, writeFileSync } from 'node:fs';

const [, , path] = process.argv;
if (path === undefined) throw new Error('make-secret: say which file');
const draft = `${path}.${randomBytes(6).toString('hex')}`;
writeFileSync(draft, `${randomBytes(32).toString('base64')}\n`, { mode: 0o400, flush: true });
try {
  linkSync(draft, path);
} catch (error) {
  if (error.code !== 'EEXIST') throw error;
} finally {
  rmSync(draft);
}
