import { acquireRedis } from '../harness/redis-server.ts';
import { runRows } from './run-rows.ts';
import { ROWS } from './rows/rows.ts';
import { knownPersonas } from './persona.ts';
const redis = await acquireRedis();
const filter = process.argv[3];
const t = performance.now();
try {
  for (const persona of knownPersonas()) {
    if (process.argv[2] && persona.name !== process.argv[2]) continue;
    const results = await runRows({ redisUrl: redis.url, persona, rows: ROWS.filter((r) => !filter || r.name.includes(filter) || r.section.includes(filter)) });
    for (const { row, verdict } of results) if (verdict.kind !== 'ok') console.log(row.section, '|', row.name, verdict);
    console.log(persona.name, results.length, results.filter((r) => r.verdict.kind === 'ok').length, Math.round(performance.now() - t));
  }
} finally { await redis.stop(); }
