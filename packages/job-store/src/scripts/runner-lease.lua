-- Of all runners of batches, one works: who holds this lease. Each new holding has a greater epoch than
-- any before: it is the time at which it began, so that it is greater also where Redis has lost its last
-- moment.
--
-- KEYS  1 lease: never removed
-- ARGV  1 runner, 2 how long it holds (ms), or '' to give it up
-- RETURN {epoch, until when by Redis's clock, now}, or nothing where another runner holds it

local now = now_ms()
local lease = redis.call('HMGET', KEYS[1], 'runner', 'until', 'epoch')
local is_held = lease[1] and tonumber(lease[2]) > now
if ARGV[2] == '' then
  if lease[1] == ARGV[1] then
    redis.call('HSET', KEYS[1], 'until', 0)
  end
  return nil
end
if is_held and lease[1] ~= ARGV[1] then
  return nil
end
local epoch, till = tonumber(lease[3] or 0), now + tonumber(ARGV[2])
if not is_held then
  epoch = math.max(epoch + 1, now)
end
redis.call('HSET', KEYS[1], 'runner', ARGV[1], 'until', till, 'epoch', epoch)
return { epoch, till, now }
