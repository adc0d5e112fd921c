-- A runner takes up a batch: those of earlier epochs write nothing for it from now on.
--
-- ARGV  1 epoch
-- RETURN 'ok', 'gone' or 'fenced'

local stands = redis.call('HGET', KEYS[1], 'epoch')
if not stands then
  return 'gone'
end
if tonumber(stands) > tonumber(ARGV[1]) then
  return 'fenced'
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return 'ok'
