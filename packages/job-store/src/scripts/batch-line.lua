-- Notes where a line without a durable outcome is: its job is open, or has ended (or was deleted). A line
-- that has one does not come back, however late somebody says so; nor is one that has ended open again.
--
-- ARGV  1 line, 2 'open' or 'ended'
-- RETURN 1 if that is where it is now

local state = redis.call('HGET', KEYS[1], 'state')
if not state or OVER[state] or redis.call('GETBIT', KEYS[2], ARGV[1]) == 1 then
  return 0
end
if ARGV[2] == 'ended' then
  redis.call('SREM', KEYS[4], ARGV[1])
  redis.call('SADD', KEYS[5], ARGV[1])
  return 1
end
if redis.call('SISMEMBER', KEYS[5], ARGV[1]) == 1 then
  return 0
end
redis.call('SADD', KEYS[4], ARGV[1])
return 1
