/**
 * Loaded into a server before anything else (`--import`): counts what it writes to the sockets of its clients,
 * and says how often on SIGUSR2, in the file that `QARR_BENCH_WRITES` names. Only where nothing is timed.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';

interface Internals {
  server?: object | null;
  _writeGeneric(...args: unknown[]): unknown;
}

const file = process.env['QARR_BENCH_WRITES'] ?? '';
const sockets = Socket.prototype as unknown as Internals;
const { _writeGeneric: write } = sockets;
let count = 0;

// One call is one system call: of one piece, or of several at once.
sockets._writeGeneric = function counted(this: Internals, ...args) {
  // Of those that it has opened itself, such as to Redis, there is no server.
  if (this.server !== undefined && this.server !== null) count += 1;
  return write.apply(this, args);
};

process.on('SIGUSR2', () => {
  writeFileSync(`${file}.new`, String(count));
  renameSync(`${file}.new`, file);
});
