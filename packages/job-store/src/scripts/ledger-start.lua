-- A job that waited runs. Where interactive jobs are started one after the other while standard ones
-- wait, the next of these is put at the head of the queue now and then.
--
-- ARGV  1 job id
-- RETURN nothing

local found = redis.call('HGET', KEYS[1], ARGV[1])
local entry = found and parse(found)
if not entry or entry.state == 'r' then
  return
end
local class = entry.class
read_waiting(class)
tally(entry, -1)
local place = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
redis.call('ZREM', KEYS[2], ARGV[1])
entry.state = 'r'
tally(entry, 1)
write(ARGV[1], entry)

local tag = place - score(class, 0)
if waiting(class) > 0 and tag > count('v:' .. class) then
  set('v:' .. class, tag)
end
left_order(class)
alert()

if class == 'standard' then
  set('before_standard', false)
elseif class == 'interactive' and waiting('standard') > 0 then
  local starts = standard_is_late(now_ms()) and STARTS_BEFORE_LATE or STARTS_BEFORE_STANDARD
  add('before_standard', 1)
  if count('before_standard') >= starts then
    local from = string.format('%.0f', FIRST.standard * BULLMQ_PRIORITY)
    local head = redis.call('ZRANGEBYSCORE', QUEUE.standard, from, '+inf', 'LIMIT', 0, 1)[1]
    if head then
      redis.call('ZADD', QUEUE.standard, string.format('%.0f', FIRST.interactive * BULLMQ_PRIORITY), head)
    end
    set('before_standard', false)
  end
end
save()
