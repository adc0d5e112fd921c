-- Forgets a file, whose content is removed. For a while it can still be the end of a page.
--
-- KEYS  1 file, 2 the owner's files, 3 those of the same purpose, 4 bytes by owner, 5 files by when
--       they are due, 6 note of where it stood
-- ARGV  1 id, 2 how long the note is kept (ms)
-- RETURN 1, or 0 where there is none

redis.call('ZREM', KEYS[5], ARGV[1])
local record = redis.call('HMGET', KEYS[1], 'owner', 'bytes', 'created_at')
local owner, bytes, created_at = record[1], record[2], record[3]
if not owner then
  return 0
end
local place = string.format('%015d %s', tonumber(created_at), ARGV[1])
redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[2], place)
redis.call('ZREM', KEYS[3], place)
if redis.call('HINCRBY', KEYS[4], owner, -tonumber(bytes)) == 0 then
  redis.call('HDEL', KEYS[4], owner)
end
redis.call('SET', KEYS[6], created_at .. ' ' .. owner, 'PX', ARGV[2])
return 1
