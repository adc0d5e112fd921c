-- Ends a job whose time is up and that nobody else has ended: one that was never started in time,
-- one that has used up its time to run, and one that runs on though it was cancelled. The last two
-- are left to their worker for a while, which knows more: only a dead or deaf one does not do it.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 ms that are left to a worker, then the terminal events that may be due:
--       3 `expired`, 4 `failed` by run time, 5 `cancelled` after a run
-- RETURN {'gone'} or {state after the call, when it is due}

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'queue_deadline',
  'started_at', 'run_timeout_ms', 'cancel', 'cancel_at', 'tokens_made',
  'waits_alone_since')
local state, attempt = record[1], record[2]
if not state then
  return { 'gone' }
end
if TERMINAL[state] then
  return { state, 0 }
end

local now, left = now_ms(), tonumber(ARGV[2])
local due, ending, json
if attempt == '0' then
  due, ending, json = tonumber(record[5]), 'expired', ARGV[3]
else
  local run_timeout_ms = tonumber(record[7])
  due = tonumber(record[6]) + run_timeout_ms + left + waited_alone(record[11], run_timeout_ms, now)
  ending, json = 'failed', ARGV[4]
  if record[8] == '1' then
    local cancel_due = tonumber(record[9] or 0) + left
    if cancel_due < due then
      due, ending, json = cancel_due, 'cancelled', cancelled_event(attempt, record[10], ARGV[5], ARGV[5])
    end
  end
end
if now < due then
  return { state, due }
end
conclude(KEYS[1], KEYS[2], ARGV[1], tonumber(record[3]) + 1, ending, json, record[4])
return { ending, due }
