-- The current attempts of some jobs append events: each its own, in one step with the others. What is
-- published to a follower of several of them is one message.
--
-- Each job is a case of its own: one that fails or is refused changes nothing for the others. Sending
-- the same call again is harmless: `first seq` tells whether it has been applied.
--
-- A failover may lose a claim, whose number another one then gets: an attempt is known by both.
--
-- KEYS  of each job: job, log
-- ARGV  of each job: job id, attempt, token of its claim, tokens that this and earlier attempts have
--       made or 'unknown', first seq, number of events, then of each event: type, json, token ids
--       (or '')
-- RETURN of each job: 'ok', 'cancel' (applied, and the job shall be cancelled), 'superseded'
--     (refused), or an error, which says 'GAP job is at <seq>, …' where the log lacks what was written
--     before

local messages, channels = {}, {}

-- What is published waits until the logs of all jobs are written.
local function note(lines, followers, job_key)
  for channel in string.gmatch(followers or '', '%S+') do
    local message = messages[channel]
    if not message then
      message = { lines = {}, jobs = {} }
      messages[channel], channels[#channels + 1] = message, channel
    end
    for _, line in ipairs(lines) do
      message.lines[#message.lines + 1] = line
    end
    message.jobs[#message.jobs + 1] = job_key
  end
end

local function append(job_key, log_key, at)
  local record = redis.call('HMGET', job_key, 'state', 'attempt', 'claim', 'seq', 'followers', 'cancel', 'untold')
  if record[1] ~= 'running' or record[2] ~= ARGV[at + 1] or record[3] ~= ARGV[at + 2] then
    return 'superseded'
  end
  local seq, first = tonumber(record[4]), tonumber(ARGV[at + 4])
  if first > seq + 1 then
    return 'GAP job is at ' .. seq .. ', events begin at ' .. first
  end
  if first == seq + 1 then
    local lines = { record[7] or nil }
    for i = at + 6, at + 3 + 3 * ARGV[at + 5], 3 do
      seq = seq + 1
      lines[#lines + 1] = log_event(log_key, ARGV[at], seq, ARGV[i], ARGV[i + 1], ARGV[i + 2])
    end
    redis.call('HSET', job_key, 'seq', seq, 'streamed', '1', 'tokens_made', ARGV[at + 3])
    if record[7] then
      redis.call('HDEL', job_key, 'untold')
    end
    note(lines, record[5], job_key)
  end
  return record[6] == '1' and 'cancel' or 'ok'
end

local replies, at = {}, 1
for i = 1, #KEYS, 2 do
  local _, reply = pcall(append, KEYS[i], KEYS[i + 1], at)
  replies[#replies + 1] = type(reply) == 'table' and reply.err or reply
  at = at + 6 + 3 * ARGV[at + 5]
end
for _, channel in ipairs(channels) do
  local message = messages[channel]
  if tell(channel, message.lines) == 0 and not IN_CLUSTER then
    -- Nobody listens to it any more.
    for _, job_key in ipairs(message.jobs) do
      redis.call('HSET', job_key, 'followers', without(redis.call('HGET', job_key, 'followers'), channel))
    end
  end
end
return replies
