-- Cancels a batch, unless it is over. Those of its lines that have an outcome keep it.
--
-- RETURN 'gone', or the state before the call

local state = redis.call('HGET', KEYS[1], 'state')
if not state then
  return 'gone'
end
if state ~= 'cancelling' and not OVER[state] then
  become('cancelling')
end
return state
