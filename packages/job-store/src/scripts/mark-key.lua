-- Notes that the job of an idempotency key has been written: it must never be written anew.
--
-- KEYS  1 idempotency key
-- ARGV  1 job id
-- RETURN 1 if the key stands for this job

if redis.call('HGET', KEYS[1], 'job') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'written', '1')
return 1
