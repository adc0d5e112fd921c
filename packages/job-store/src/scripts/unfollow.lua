-- Removes a replica from a job's followers.
--
-- KEYS  1 job
-- ARGV  1 channel
-- RETURN 1 if it was one

local followers = redis.call('HGET', KEYS[1], 'followers')
if not followers then
  return 0
end
local remaining = without(followers, ARGV[1])
redis.call('HSET', KEYS[1], 'followers', remaining)
return remaining == followers and 0 or 1
