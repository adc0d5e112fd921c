-- Moves a waiting job to another tier, once in its life: its entry in the queue of the former tier is
-- void from here on, because its epoch is over.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 tier that it is in, 3 epoch of its entry there, 4 tier that it shall be in,
--       5 `rerouted` event, 6 `rerouted` field
-- RETURN {'moved', next epoch} or {'stays', the tier that it is in, or '' for one that is gone}

local record = redis.call('HMGET', KEYS[1], 'state', 'tier', 'epoch', 'seq', 'followers', 'rerouted',
  'fallback', 'streamed', 'cancel', 'deaths', 'attempt', 'queue_deadline', 'started_at', 'run_timeout_ms')
local state, tier, epoch, followers = record[1], record[2], tonumber(record[3]), record[5]
local stays = { 'stays', state and tier or '' }
if state ~= 'queued' or tier ~= ARGV[2] or epoch ~= tonumber(ARGV[3]) then
  return stays
end
-- One hop, and only by consent. A text is carried on where it was begun.
local has_text = record[8] == '1' or record[8] == '2'
if record[6] or record[7] == 'none' or has_text or record[9] == '1' then
  return stays
end
-- Whatever has ended a worker is not spread.
if record[10] ~= '0' then
  return stays
end
local is_new = record[11] == '0'
local due = is_new and tonumber(record[12]) or tonumber(record[13]) + tonumber(record[14])
if now_ms() >= due then
  return stays
end

local seq = tonumber(record[4]) + 1
followers = emit(KEYS[2], ARGV[1], seq, 'rerouted', ARGV[5], followers)
redis.call('HSET', KEYS[1], 'tier', ARGV[4], 'epoch', epoch + 1, 'rerouted', ARGV[6], 'seq', seq, 'followers', followers)
return { 'moved', epoch + 1 }
