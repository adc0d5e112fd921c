-- Notes a batch in the lists of its owner, or takes it from that of those that are not over.
--
-- KEYS  1 all batches of the owner, 2 those that are not over: by creation time
-- ARGV  1 batch id, 2 when it was created (ms since the epoch), or '' for now, 3 how many may be open, or
--       '' where it is over, 4 how long the list is kept from now on, at least (ms)
-- RETURN {1, now}, or {0, now} where too many are open

local now = now_ms()
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  local is_known = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not is_known and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
    return { 0, now }
  end
  redis.call('ZADD', KEYS[2], 'GT', ARGV[2] == '' and now or ARGV[2], ARGV[1])
end
redis.call('ZADD', KEYS[1], 'GT', ARGV[2] == '' and now or ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return { 1, now }
