-- Ends the time of a file: it is gone for everybody, and its content is due to be removed.
--
-- KEYS  1 file, 2 files by when they are due
-- ARGV  1 id
-- RETURN 1, or 0 where there is none whose time was not over

local now = now_ms()
local expires_at = redis.call('HGET', KEYS[1], 'expires_at')
if not expires_at or tonumber(expires_at) <= now then
  return 0
end
redis.call('HSET', KEYS[1], 'expires_at', now)
redis.call('ZADD', KEYS[2], now, ARGV[1])
return 1
