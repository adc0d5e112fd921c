-- Writes a new job and its first event. A second call with the same id changes nothing.
--
-- KEYS  1 job, 2 log
-- ARGV  1 queue timeout (ms), 2 `queued` event, 3.. field, value, field, value, …
-- RETURN {1 if created or 0 if it existed, created_at, queue_deadline}

local existing = redis.call('HMGET', KEYS[1], 'created_at', 'queue_deadline')
if existing[1] then
  return { 0, tonumber(existing[1]), tonumber(existing[2]) }
end

local now = now_ms()
local deadline = now + tonumber(ARGV[1])
local fields = {
  'state', 'queued', 'epoch', 1, 'attempt', 0, 'failures', 0, 'deaths', 0, 'seq', 1,
  'created_at', now, 'queue_deadline', deadline,
}
for i = 3, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('XADD', KEYS[2], '0-1', 't', 'queued', 'd', ARGV[2])
return { 1, now, deadline }
