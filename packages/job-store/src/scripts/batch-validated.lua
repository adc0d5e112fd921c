-- The input file of a batch has been read. Saying it again is harmless.
--
-- ARGV  1 epoch, 2 number of lines, 3 the model that they all name or '', 4 what is wrong (JSON) or ''
-- RETURN 'ok', 'gone', 'fenced' or 'conflict': something else has been found before

local refused, state = refusal(ARGV[1])
if refused then
  return refused
end
local is_wrong = ARGV[4] ~= ''
if redis.call('HEXISTS', KEYS[1], 'validated') == 1 then
  local known = redis.call('HMGET', KEYS[1], 'total', 'errors')
  return known[1] == ARGV[2] and (known[2] or '') == ARGV[4] and 'ok' or 'conflict'
end
-- Cancelled before; whatever was wrong, nothing of it has run.
if state ~= 'validating' and state ~= 'cancelling' then
  return 'conflict'
end
redis.call('HSET', KEYS[1], 'validated', 1, 'total', ARGV[2], 'model', ARGV[3], 'errors', ARGV[4])
if state == 'validating' then
  if is_wrong then
    conclude_batch('failed')
  else
    become('in_progress')
  end
end
return 'ok'
