-- Writes an API key, unless it has been changed since it was read.
--
-- KEYS  1 records, 2 digests
-- ARGV  1 key id, 2 record as it was read, or '' for a new one, 3 new record, or '' to forget it,
--       4 how many digests it is not known by any more, then those, then those that it is known by
-- RETURN 1 if it was written

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
local gone = tonumber(ARGV[4])
for i = 5, #ARGV do
  if i < 5 + gone then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
  end
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
