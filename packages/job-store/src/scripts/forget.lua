-- Removes a job whose outcome is kept elsewhere. One that somebody has followed stays for a moment, so
-- that its stream ends properly; one that has not ended goes soon after its end.
--
-- KEYS  1 job, 2 log
-- ARGV  1 how long such a moment is (ms)
-- RETURN 'gone', 'deleted' (what is left of it is being removed), 'open', 'followed' or 'removed'

local record = redis.call('HMGET', KEYS[1], 'state', 'deleted', 'followed')
if record[2] then
  return 'deleted'
end
if record[1] and not TERMINAL[record[1]] then
  redis.call('HSET', KEYS[1], 'result_ttl_ms', ARGV[1], 'log_ttl_ms', ARGV[1])
  return 'open'
end
if record[3] then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
  return 'followed'
end
return redis.call('UNLINK', KEYS[1], KEYS[2]) > 0 and 'removed' or 'gone'
