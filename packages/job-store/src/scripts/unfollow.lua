-- Removes a replica from a job's followers.
--
-- KEYS  1 job
-- ARGV  1 channel
-- RETURN 1 if it was one

local followers = redis.call('HGET', KEYS[1], 'followers')
if not followers then
  return 0
end
local remaining, found = {}, 0
for channel in string.gmatch(followers, '%S+') do
  if channel == ARGV[1] then
    found = 1
  else
    remaining[#remaining + 1] = channel
  end
end
redis.call('HSET', KEYS[1], 'followers', table.concat(remaining, ' '))
return found
