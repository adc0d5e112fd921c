-- The time of a batch is up: that is how it ends, unless all its lines have an outcome already.
--
-- ARGV  1 epoch
-- RETURN 'ok', 'gone' or 'fenced'

local refused, state = refusal(ARGV[1])
if refused then
  return refused
end
if state == 'validating' or (state == 'in_progress' and not has_all_outcomes()) then
  redis.call('HSET', KEYS[1], 'expiring', 1)
end
return 'ok'
