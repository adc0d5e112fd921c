-- Notes a replica as follower and reads the log after a sequence number, both in one step: each
-- event is either in the answer or will be published to the channel.
--
-- KEYS  1 job, 2 log
-- ARGV  1 channel, 2 last seq known, 3 bytes of events after which no more are added (nor after
--       256 events)
-- RETURN {'gone'}, {'ahead', seq, state} when no event has the number that the reader claims to know,
--     or {'ok', state, {{seq, type, json}, …}, 1 if there is more}

local record = redis.call('HMGET', KEYS[1], 'state', 'seq', 'followers', 'final', 'batch', 'followed')
local state, seq, followers = record[1], tonumber(record[2]), record[3] or ''
if not state then
  return { 'gone' }
end
local last, bytes_max = tonumber(ARGV[2]), tonumber(ARGV[3])
if last > seq then
  return { 'ahead', seq, state }
end

if not TERMINAL[state] and not string.find(' ' .. followers .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
  -- Where Redis takes no writes the log can still be read; the reader comes again by its clock.
  redis.pcall('HSET', KEYS[1], 'followers', followers == '' and ARGV[1] or followers .. ' ' .. ARGV[1])
end

-- The job of a line is removed soon after its end, but for one that somebody reads.
if record[5] and not record[6] then
  redis.pcall('HSET', KEYS[1], 'followed', 1)
end

local STEP, EVENTS_MAX = 32, 256
local events, bytes = {}, 0
repeat
  local newest = #events > 0 and events[#events][1] or last
  local entries = redis.call('XRANGE', KEYS[2], '(0-' .. newest, '+', 'COUNT', STEP)
  for _, entry in ipairs(entries) do
    if bytes >= bytes_max then
      break
    end
    local id, fields = entry[1], entry[2]
    events[#events + 1] = { tonumber(string.sub(id, 3)), fields[2], fields[4] }
    bytes = bytes + #fields[4]
  end
until #entries < STEP or bytes >= bytes_max or #events >= EVENTS_MAX
-- The log has outlived its retention; the record still knows how it ended.
if #events == 0 and last < seq and TERMINAL[state] then
  events[1] = { seq, state, record[4] }
end
local more = #events > 0 and events[#events][1] < seq
return { 'ok', state, events, more and 1 or 0 }
