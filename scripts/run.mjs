/**
 * Set-up and entry: `node scripts/run.mjs up | demo | test | conformance | chaos | soak | overload | batches | batch-rate | bench | scale | sizing | setup | qarr [arguments]`.
 *
 * It runs on the Node that the machine has, with no dependency, makes the rest ready and then runs
 * the command on the Node of the lockfile. This file is kept readable for much older Nodes, which
 * would stop at the syntax of the others: hence the check first, and the import after it.
 */
const OLDEST_NODE = 20;

if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  console.error(
    `qarr: this is Node ${process.versions.node}; Node ${OLDEST_NODE} or later is needed (https://nodejs.org)`,
  );
  process.exitCode = 1;
} else {
  // oxlint-disable-next-line unicorn/prefer-top-level-await -- older Nodes must be able to read it
  import('./entry.mjs').then(
    ({ runEntry }) => runEntry(process.argv.slice(2)),
    (error) => {
      console.error(`qarr: ${error.message}`);
      process.exitCode = 1;
    },
  );
}
