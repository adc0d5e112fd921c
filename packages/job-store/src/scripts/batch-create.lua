-- Writes a new batch. Where there is one with this id, nothing changes.
--
-- A call that comes late is refused: the entries in the indexes, which were made before, may have been
-- tidied up meanwhile.
--
-- ARGV  1 latest time of this call (ms since the epoch), 2 how long it may take (ms),
--       3.. field, value, field, value, …
-- RETURN 'created', 'existed' or 'late'

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'existed'
end
local now = now_ms()
if now > tonumber(ARGV[1]) then
  return 'late'
end
redis.call('HSET', KEYS[1], 'state', 'validating', 'created_at', now, 'expires_at', now + tonumber(ARGV[2]),
  'total', 0, 'completed', 0, 'failed', 0, 'epoch', 0, unpack(ARGV, 3))
return 'created'
