-- A job that ran waits again, before the new ones of its class.
--
-- ARGV  1 job id
-- RETURN nothing

local found = redis.call('HGET', KEYS[1], ARGV[1])
local entry = found and parse(found)
if not entry or entry.state == 'w' then
  return
end
read_waiting(entry.class)
tally(entry, -1)
entry.state = 'w'
tally(entry, 1)
write(ARGV[1], entry)
redis.call('ZADD', KEYS[2], OFFSET[entry.class] + FIRST[entry.class], ARGV[1])
alert()
save()
