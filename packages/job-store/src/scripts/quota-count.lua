-- Counts a request of a key, unless it has made as many in this minute as it may. A minute begins with
-- the first request after the last one.
--
-- KEYS  5 the counter of this kind of request, 6 that of requests that make jobs
-- ARGV  1 how many of this kind it may make in a minute, or ''
-- RETURN {1 if it may; requests in this minute that make jobs; ms until they are forgotten; tokens used
--         today; ms until tomorrow; ms until the counter of this kind is forgotten}

local MINUTE_MS = 60000

local made = tonumber(redis.call('GET', KEYS[5]) or '0')
local allowed = ARGV[1] == '' or made < tonumber(ARGV[1])
if allowed and ARGV[1] ~= '' then
  redis.call('INCR', KEYS[5])
  if made == 0 then
    redis.call('PEXPIRE', KEYS[5], MINUTE_MS)
  end
end

local now = now_ms()
return {
  allowed and 1 or 0,
  tonumber(redis.call('GET', KEYS[6]) or '0'),
  math.max(0, redis.call('PTTL', KEYS[6])),
  used_today(now),
  left_of_day(now),
  math.max(0, redis.call('PTTL', KEYS[5])),
}
