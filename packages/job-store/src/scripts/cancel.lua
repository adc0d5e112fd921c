-- Cancels a waiting job at once; of a running one it notes that it shall be cancelled, and since
-- when.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 `cancelled` event of a job that never ran, 3 of one that ran
-- RETURN {'gone'} or {state after the call, when a running job was first cancelled or 0, 1 if it has
--        ended here or 0}; 'running' means: its worker must be told

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'tokens_made')
local state, cancel_at, has_ended = record[1], 0, 0
if not state then
  return { 'gone' }
end
if state == 'running' then
  redis.call('HSETNX', KEYS[1], 'cancel_at', now_ms())
  redis.call('HSET', KEYS[1], 'cancel', '1')
  cancel_at = tonumber(redis.call('HGET', KEYS[1], 'cancel_at'))
elseif state == 'queued' then
  state, has_ended = 'cancelled', 1
  local json = cancelled_event(record[2], record[5], ARGV[2], ARGV[3])
  conclude(KEYS[1], KEYS[2], ARGV[1], tonumber(record[3]) + 1, state, json, record[4])
end
return { state, cancel_at, has_ended }
