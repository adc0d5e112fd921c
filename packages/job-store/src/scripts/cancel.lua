-- Cancels a waiting job at once; of a running one it notes that it shall be cancelled.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 `cancelled` event of a job that never ran, 3 of one that ran
-- RETURN {'gone'} or {state after the call, tier, epoch}; 'running' means: its worker must be told

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'tier', 'epoch')
local state = record[1]
if not state then
  return { 'gone' }
end
if state == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', '1')
elseif state == 'queued' then
  state = 'cancelled'
  local json = record[2] == '0' and ARGV[2] or ARGV[3]
  conclude(KEYS[1], KEYS[2], ARGV[1], tonumber(record[3]) + 1, state, json, record[4])
end
return { state, record[5], tonumber(record[6]) }
