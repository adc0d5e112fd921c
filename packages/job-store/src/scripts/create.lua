-- Writes a new job and its first event. Where there is a job with this id, nothing changes.
--
-- A call that comes late is refused: whoever sent it has been told that its outcome is unknown, and
-- meanwhile the job may have been written by another call, have ended, and have been removed.
--
-- KEYS  1 job, 2 log
-- ARGV  1 queue timeout (ms), 2 latest time of this call (ms since the epoch), 3 `queued` event,
--       4 `rerouted` event or '', 5 job id, 6 to 8 the `started`, `delta` and `completed` events of a
--       job that is answered already, else '', 9.. field, value, field, value, …
-- RETURN {'created' or 'existed', state, tier, epoch, class, created_at}, {'late'}, or {'deleted'}
--     when the job existed and is being removed, or was and must not come again

local function as_written(outcome)
  local record = redis.call('HMGET', KEYS[1], 'state', 'tier', 'epoch', 'class', 'created_at')
  return { outcome, record[1], record[2], tonumber(record[3]), record[4], tonumber(record[5]) }
end

local existing = redis.call('HMGET', KEYS[1], 'state', 'deleted', 'buried')
if existing[1] then
  return as_written('existed')
end
if existing[2] or existing[3] then
  return { 'deleted' }
end

local now = now_ms()
if now > tonumber(ARGV[2]) then
  return { 'late' }
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'epoch', '1', 'attempt', '0', 'failures', '0', 'deaths', '0',
  'seq', ARGV[4] == '' and '1' or '2', 'created_at', now, 'queue_deadline', now + ARGV[1], unpack(ARGV, 9))
redis.call('XADD', KEYS[2], '0-1', 't', 'queued', 'd', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('XADD', KEYS[2], '0-2', 't', 'rerouted', 'd', ARGV[4])
end
if ARGV[8] ~= '' then
  redis.call('XADD', KEYS[2], '0-2', 't', 'started', 'd', ARGV[6])
  redis.call('XADD', KEYS[2], '0-3', 't', 'delta', 'd', ARGV[7])
  redis.call('HSET', KEYS[1], 'attempt', 1, 'started_at', now)
  conclude(KEYS[1], KEYS[2], ARGV[5], 4, 'completed', ARGV[8])
end
return as_written('created')
