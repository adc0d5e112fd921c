-- Takes an idempotency key for a job, unless it is taken.
--
-- KEYS  1 idempotency key
-- ARGV  1 job id, 2 hash of the body, 3 how long the key stands (ms)
-- RETURN {job id, hash of the body, '1' if that job is known to have been written or else '0'}

local taken = redis.call('HMGET', KEYS[1], 'job', 'body', 'written')
if taken[1] then
  return taken
end
redis.call('HSET', KEYS[1], 'job', ARGV[1], 'body', ARGV[2], 'written', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { ARGV[1], ARGV[2], '0' }
