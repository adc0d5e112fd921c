-- A worker takes a job: checks that the queue entry is current, and begins the next attempt.
--
-- An entry that is delivered while the job is `running` means that the queue has given up its
-- former worker, which is fenced off from here on.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 epoch of the entry, 3 worker, 4 token of this delivery, 5 deaths allowed,
--       then the terminal events that may be due: 6 `expired`, 7 `cancelled` unrun, 8 `cancelled`
--       after a run, 9 `failed` by run time, 10 `failed` by poison, 11 `failed` by a lost worker
-- RETURN {'run', attempt, next seq, failures, spared, now, created_at, started_at,
--         run_timeout_ms, on_interrupt, request, traceparent or '', continued, 1 if there is text
--         in the log that this attempt carries on, or 0}
--     or {'drop', 'gone' | 'stale' | <terminal state>}

local record = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'attempt', 'seq', 'failures', 'deaths',
  'followers', 'cancel', 'claim', 'streamed', 'on_interrupt', 'tier', 'created_at', 'started_at',
  'queue_deadline', 'run_timeout_ms', 'request', 'spared', 'traceparent', 'continued')
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

local has_text = streamed == '1' or streamed == '2'

local function run()
  return { 'run', attempt, seq + 1, failures, spared, now, created_at, started_at,
    run_timeout_ms, on_interrupt, request, traceparent, continued, has_text and streamed ~= '0' and 1 or 0 }
end

-- This very delivery has claimed it already; its answer was lost on the way.
if state == 'running' and claimed_by == ARGV[4] then
  return run()
end

local function drop(terminal_state, json)
  conclude(KEYS[1], KEYS[2], ARGV[1], seq + 1, terminal_state, json, followers)
  redis.call('HSET', KEYS[1], 'deaths', deaths)
  return { 'drop', terminal_state }
end

if cancel == '1' then
  return drop('cancelled', attempt == 0 and ARGV[7] or ARGV[8])
end
if attempt == 0 and now >= queue_deadline then
  return drop('expired', ARGV[6])
end
if attempt > 0 and now >= started_at + run_timeout_ms then
  return drop('failed', ARGV[9])
end
if state == 'running' then
  deaths = deaths + 1
  if deaths >= tonumber(ARGV[5]) then
    return drop('failed', ARGV[10])
  end
  if has_text and on_interrupt == 'fail' then
    return drop('failed', ARGV[11])
  end
end

attempt = attempt + 1
if has_text and on_interrupt == 'continue' then
  -- Counted once for text that is new: '2' says that its joint has been counted.
  if streamed == '1' then
    continued = continued + 1
    streamed = '2'
  end
elseif has_text then
  streamed = '0'
  seq = seq + 1
  followers = emit(KEYS[2], ARGV[1], seq, 'reset', cjson.encode({ type = 'reset', attempt = attempt }), followers)
end
seq = seq + 1
local started = cjson.encode({ type = 'started', tier = tier, worker = ARGV[3], attempt = attempt })
followers = emit(KEYS[2], ARGV[1], seq, 'started', started, followers)
redis.call('HSET', KEYS[1], 'state', 'running', 'attempt', attempt, 'seq', seq, 'deaths', deaths,
  'started_at', started_at, 'worker', ARGV[3], 'claim', ARGV[4], 'streamed', streamed or '0', 'continued', continued, 'followers', followers)
return run()
