-- Removes the note that a deletion has left, once there is nothing left to remove. Where the job must not
-- be written again, a smaller one stays for that.
--
-- KEYS  1 job
-- ARGV  1 for how long it must not be written again (ms), or '' where nobody would
-- RETURN 1 if there was one

if redis.call('HEXISTS', KEYS[1], 'deleted') == 0 then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'buried', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
