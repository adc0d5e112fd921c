-- Of all workers that share an engine whose breaker is not closed, one asks it: who holds this lease.
--
-- KEYS  1 the lease of the engine's probe
-- ARGV  1 worker, 2 'hold' (take it, or keep it) or 'leave', 3 ms: how long it is held; how long nobody
--       gets it after it was left
-- RETURN 1: so it is, 0: another worker holds it, or nobody gets it now

local holder = redis.call('GET', KEYS[1])
if ARGV[2] == 'hold' then
  if holder and holder ~= ARGV[1] then
    return 0
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  return 1
end
if holder ~= ARGV[1] then
  return 0
end
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return 1
