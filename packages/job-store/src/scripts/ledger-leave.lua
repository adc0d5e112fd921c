-- A job leaves the tier: it has ended, was moved, or never was.
--
-- ARGV  1 job id
-- RETURN nothing

local found = redis.call('HGET', KEYS[1], ARGV[1])
if not found then
  return
end
local entry = parse(found)
redis.call('HDEL', KEYS[1], ARGV[1])
local waits = entry.state == 'w'
if waits then
  read_waiting(entry.class)
end
tally(entry, -1)
add('fallback', -entry.fallback)
if waits then
  redis.call('ZREM', KEYS[2], ARGV[1])
  left_order(entry.class)
  alert()
end
save()
