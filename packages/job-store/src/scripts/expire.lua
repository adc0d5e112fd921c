-- Ends a job that has waited longer than it may.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 `expired` event
-- RETURN {'gone'} or {state after the call, tier, epoch, ms until its queue deadline}

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'tier', 'epoch', 'queue_deadline')
local state = record[1]
if not state then
  return { 'gone' }
end
local left = tonumber(record[7]) - now_ms()
if state == 'queued' and record[2] == '0' and left <= 0 then
  state = 'expired'
  conclude(KEYS[1], KEYS[2], ARGV[1], tonumber(record[3]) + 1, state, ARGV[2], record[4])
end
return { state, record[5], tonumber(record[6]), left }
