-- Writes the record of a file whose content is stored. Writing it again changes what is said of the
-- content, and nothing else.
--
-- KEYS  1 file, 2 the owner's files, 3 those of the same purpose, 4 bytes by owner, 5 files by when
--       they are due
-- ARGV  1 id, 2 owner, 3 file name, 4 purpose, 5 bytes, 6 sha256, 7 how long it is kept (ms),
--       8 how many files an owner may have, 9 how many bytes, both '' where there is no limit
-- RETURN {'created', when it was, when its time is over}, or {'too_many'} or {'too_large'}

local bytes = tonumber(ARGV[5])
local before = redis.call('HMGET', KEYS[1], 'bytes', 'created_at', 'expires_at')
if before[1] then
  redis.call('HSET', KEYS[1], 'bytes', ARGV[5], 'sha256', ARGV[6])
  redis.call('HINCRBY', KEYS[4], ARGV[2], bytes - tonumber(before[1]))
  return { 'created', tonumber(before[2]), tonumber(before[3]) }
end
if ARGV[8] ~= '' and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[8]) then
  return { 'too_many' }
end
local held = tonumber(redis.call('HGET', KEYS[4], ARGV[2]) or '0')
if ARGV[9] ~= '' and held + bytes > tonumber(ARGV[9]) then
  return { 'too_large' }
end
local now = now_ms()
local expires_at = now + tonumber(ARGV[7])
local place = string.format('%015d %s', now, ARGV[1])
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'owner', ARGV[2], 'filename', ARGV[3], 'purpose', ARGV[4],
  'bytes', ARGV[5], 'sha256', ARGV[6], 'created_at', now, 'expires_at', expires_at)
redis.call('ZADD', KEYS[2], 0, place)
redis.call('ZADD', KEYS[3], 0, place)
redis.call('HINCRBY', KEYS[4], ARGV[2], bytes)
redis.call('ZADD', KEYS[5], expires_at, ARGV[1])
return { 'created', now, expires_at }
