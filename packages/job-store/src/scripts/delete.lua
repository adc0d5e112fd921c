-- Deletes all that a job holds, in any state; the readers of one that has not ended are told that
-- it was cancelled. What remains is a note, without a state and so no job to anybody, of what is
-- left to remove elsewhere.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 `cancelled` event of a job that never ran, 3 of one that ran, 4 how long the note
--       is kept where nobody removes it (ms)
-- RETURN 'gone' or the state before the call

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'tokens_made')
local state = record[1]
if not state then
  return 'gone'
end
if not TERMINAL[state] then
  local json = cancelled_event(record[2], record[5], ARGV[2], ARGV[3])
  publish({ live_line(ARGV[1], tonumber(record[3]) + 1, 'cancelled', json) }, record[4])
end
local names = { 'tier', 'class', 'epoch', 'owner', 'idempotency_key', 'bound', 'rerouted', 'batch' }
local values = redis.call('HMGET', KEYS[1], unpack(names))
-- How much of its key's quota it has used is told by its end.
if redis.call('HEXISTS', KEYS[1], 'quota_key') == 1 then
  for _, name in ipairs({ 'quota_key', 'quota_prompt', 'attempt', 'tokens_made', 'final' }) do
    names[#names + 1] = name
  end
  values = redis.call('HMGET', KEYS[1], unpack(names))
end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'deleted', state)
for i, name in ipairs(names) do
  if values[i] then
    redis.call('HSET', KEYS[1], name, values[i])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return state
