-- Removes an idempotency key, unless it names another job by now.
--
-- KEYS  1 idempotency key
-- ARGV  1 job id
-- RETURN 1 if it was removed

if redis.call('HGET', KEYS[1], 'job') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
