-- The current attempt gives the job back to its queue: to be tried again, or because its worker
-- stops. The queue entry stays the same, so the epoch does too.
--
-- KEYS  1 job
-- ARGV  1 attempt, 2 the counter to raise: 'failures', 'spared' or '' (handed back), 3 tokens that
--       this and earlier attempts have made, or 'unknown', 4 token of its claim
-- RETURN 'ok', 'cancel' (refused, because the job shall be cancelled) or 'superseded' (refused)

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'cancel', 'claim')
if record[2] ~= ARGV[1] then
  return 'superseded'
end
if record[1] == 'queued' then
  return 'ok'
end
if record[1] ~= 'running' then
  return 'superseded'
end
if record[4] ~= ARGV[4] then
  return 'superseded'
end
if record[3] == '1' then
  return 'cancel'
end
if ARGV[2] ~= '' then
  redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'tokens_made', ARGV[3])
redis.call('HDEL', KEYS[1], 'claim')
return 'ok'
