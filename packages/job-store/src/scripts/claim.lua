-- A worker takes a job: checks that the queue entry is current, and begins the next attempt.
--
-- An entry that is delivered while the job is `running` means that the queue has given up its
-- former worker, which is fenced off from here on. That counts as a death only where the worker is
-- dead: one that was slow, or cut off from Redis, has not been ended by the job. Who claims is asked
-- ('judge'), and answers with a second call.
--
-- A job that may only die once more must run alone, so that its next death is its own fault.
--
-- KEYS  1 job, 2 log, where they are of the same server also 3 the jobs by when their time is up, 4 those
--       that have been started
-- ARGV  1 job id, 2 epoch of the entry, 3 worker, 4 token of this delivery, 5 deaths allowed,
--       6 '1' if nothing else runs on this worker and nothing will, 7 the former worker that was
--       asked for or '', 8 'alive' or 'dead', then the terminal events that may be due:
--       9 `expired`, 10 `cancelled` unrun, 11 `cancelled` after a run, 12 `failed` by run time,
--       13 `failed` by poison, 14 `failed` by a lost worker, then 15 ms that are left to a worker after
--       its time, 16.. names of fields to tell of a job that runs
-- RETURN {'run', attempt, next seq, failures, spared, now, created_at, started_at,
--         run_timeout_ms, on_interrupt, request, traceparent or '', continued, 1 if there is text
--         in the log that this attempt carries on, or 0, tokens made so far or '' if unknown,
--         request id or '', deaths, 1 if the text before it is void from here on, or 0, the fields}
--     or {'judge', former worker}
--     or {'alone', 1 if it was `running` until now, or 0}
--     or {'drop', 'gone' | 'stale' | <terminal state>, 1 if it has ended here, or nothing}

local record = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'attempt', 'seq', 'failures', 'deaths',
  'followers', 'cancel', 'claim', 'streamed', 'on_interrupt', 'tier', 'created_at', 'started_at',
  'queue_deadline', 'run_timeout_ms', 'request', 'spared', 'traceparent', 'continued',
  'worker', 'tokens_made', 'waits_alone_since', 'request_id', 'bound')
local state, epoch, claimed_by = record[1], record[2], record[9]
if not state then
  return { 'drop', 'gone' }
end
if TERMINAL[state] then
  return { 'drop', state }
end
if epoch ~= ARGV[2] then
  return { 'drop', 'stale' }
end

local now = now_ms()
local attempt, seq, failures, deaths = tonumber(record[3]), tonumber(record[4]), tonumber(record[5]), tonumber(record[6])
local followers, cancel, streamed, on_interrupt, tier = record[7], record[8], record[10], record[11], record[12]
local created_at, started_at = tonumber(record[13]), tonumber(record[14] or now)
local queue_deadline, run_timeout_ms, request = tonumber(record[15]), tonumber(record[16]), record[17]
local spared, traceparent, continued = tonumber(record[18] or 0), record[19] or '', tonumber(record[20] or 0)

local former, tokens_made = record[21] or '', record[22]

local has_text = streamed == '1' or streamed == '2'
local is_reset = 0

local function run()
  if KEYS[3] then
    redis.call('ZADD', KEYS[3], started_at + run_timeout_ms + tonumber(ARGV[15]), ARGV[1])
    redis.call('ZADD', KEYS[4], created_at, ARGV[1])
  end
  return { 'run', attempt, seq + 1, failures, spared, now, created_at, started_at,
    run_timeout_ms, on_interrupt, request, traceparent, continued, has_text and streamed ~= '0' and 1 or 0,
    tonumber(tokens_made) or '', record[24] or '', deaths, is_reset,
    redis.call('HMGET', KEYS[1], unpack(ARGV, 16)) }
end

-- This very delivery has claimed it already; its answer was lost on the way.
if state == 'running' and claimed_by == ARGV[4] then
  return run()
end

local function drop(terminal_state, json)
  conclude(KEYS[1], KEYS[2], ARGV[1], seq + 1, terminal_state, json, followers, nil, { 'deaths', deaths })
  return { 'drop', terminal_state, 1 }
end

if cancel == '1' then
  return drop('cancelled', cancelled_event(attempt, tokens_made, ARGV[10], ARGV[11]))
end
if attempt == 0 and now >= queue_deadline then
  return drop('expired', ARGV[9])
end
-- The time in which it was let wait to run alone is not its own.
local waited = waited_alone(record[23], run_timeout_ms, now)
if attempt > 0 and now >= started_at + run_timeout_ms + waited then
  return drop('failed', ARGV[12])
end
if state == 'running' then
  if former ~= ARGV[7] then
    return { 'judge', former }
  end
  if ARGV[8] == 'dead' then
    deaths = deaths + 1
  end
  if deaths >= tonumber(ARGV[5]) then
    return drop('failed', ARGV[13])
  end
  if has_text and on_interrupt == 'fail' then
    return drop('failed', ARGV[14])
  end
end
if deaths == tonumber(ARGV[5]) - 1 and ARGV[6] ~= '1' then
  if state == 'running' then
    redis.call('HSET', KEYS[1], 'state', 'queued', 'deaths', deaths)
    redis.call('HDEL', KEYS[1], 'claim')
  end
  redis.call('HSETNX', KEYS[1], 'waits_alone_since', now)
  return { 'alone', state == 'running' and 1 or 0 }
end
if record[23] then
  run_timeout_ms = run_timeout_ms + waited
  redis.call('HSET', KEYS[1], 'run_timeout_ms', run_timeout_ms)
  redis.call('HDEL', KEYS[1], 'waits_alone_since')
end

attempt = attempt + 1
-- A record without it that has run is of before it could be known.
if attempt == 1 then
  tokens_made = '0'
end
if has_text and on_interrupt == 'continue' then
  -- Counted once for text that is new: '2' says that its joint has been counted.
  if streamed == '1' then
    continued = continued + 1
    streamed = '2'
  end
elseif has_text then
  streamed, is_reset = '0', 1
  seq = seq + 1
  followers = emit(KEYS[2], ARGV[1], seq, 'reset', cjson.encode({ type = 'reset', attempt = attempt }), followers)
end
seq = seq + 1
local started = cjson.encode({ type = 'started', tier = tier, worker = ARGV[3], attempt = attempt })
local line = log_event(KEYS[2], ARGV[1], seq, 'started', started)
if record[25] then
  -- Whoever is bound to it shows nothing of that: it is told with the first text, in one message.
  redis.call('HSET', KEYS[1], 'untold', line)
else
  followers = publish({ line }, followers)
end
redis.call('HSET', KEYS[1], 'state', 'running', 'attempt', attempt, 'seq', seq, 'deaths', deaths,
  'started_at', started_at, 'worker', ARGV[3], 'claim', ARGV[4], 'streamed', streamed or '0', 'continued', continued,
  'tokens_made', tokens_made or 'unknown', 'followers', followers)
return run()
